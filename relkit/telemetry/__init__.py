"""Turns and sessions from traces, files and servers, and traffic that is made up."""
