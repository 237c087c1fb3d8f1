"""Whether an agent that can act stays within its rules: tool calls, confirmations, injections."""
