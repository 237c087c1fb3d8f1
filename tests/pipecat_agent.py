"""A voice agent made of pipecat, run as a program: what is tested is not only our own agent.

Silero and smart-turn say when a turn is over, faster-whisper hears it, a few rules answer, and
espeak-ng speaks, all of it on this machine. Its clients are spoken to in pipecat's own frames, with
RTVI messages for what the agent says of itself.
"""

import asyncio
import subprocess
import sys
import wave
from collections.abc import AsyncGenerator, AsyncIterator
from io import BytesIO
from typing import Any

import numpy as np
from faster_whisper import WhisperModel
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TranscriptionFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.serializers.protobuf import ProtobufFrameSerializer
from pipecat.services.settings import STTSettings, TTSSettings
from pipecat.services.stt_service import SegmentedSTTService
from pipecat.services.tts_service import TTSService
from pipecat.transports.websocket.server import (
    SingleClientWebsocketServerParams,
    SingleClientWebsocketServerTransport,
)
from pipecat.utils.time import time_now_iso8601
from pipecat.workers.runner import WorkerRunner

RATE = 16000

ANSWERS = (
    ("timer", "Okay, your timer is set. I will ring when the time is over."),
    (
        "account",
        (
            "Your account is a savings account with a balance of two hundred and twelve dollars, "
            "and it was opened in the spring of last year. The last payment was eleven dollars."
        ),
    ),
    ("stop", "Stopped."),
)
OTHERWISE = "Sorry, I did not get that."


class Hearing(SegmentedSTTService):
    """faster-whisper on what the voice activity detector cuts out."""

    def __init__(self, folder: str) -> None:
        """Load the model of a folder."""
        super().__init__(settings=STTSettings(model="tiny.en", language="en"))
        self._model = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=1)

    @property
    def wants_wav_segments(self) -> bool:
        """Whether a segment comes as a WAV file."""
        return False

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Yield the text of a segment."""
        samples = np.frombuffer(audio, dtype="<i2").astype(np.float32) / 32768.0

        def decode() -> str:
            segments, _ = self._model.transcribe(samples, beam_size=1, temperature=0.0)
            return " ".join(segment.text.strip() for segment in segments)

        text = await asyncio.to_thread(decode)
        if text:
            yield TranscriptionFrame(text, self._user_id, time_now_iso8601())


class Rules(FrameProcessor):
    """Answers by the first word that it knows, in place of a language model."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Answer a context, and let every other frame pass."""
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        messages: list[Any] = frame.context.get_messages()
        asked = str(messages[-1]["content"]).lower()
        answer = next((text for word, text in ANSWERS if word in asked), OTHERWISE)
        await self.push_frame(LLMFullResponseStartFrame())
        await self.push_frame(LLMTextFrame(answer))
        await self.push_frame(LLMFullResponseEndFrame())


class Speaking(TTSService):
    """espeak-ng, a sentence at a time."""

    def __init__(self) -> None:
        """Speak at the rate of the pipeline."""
        super().__init__(
            push_start_frame=True,
            push_stop_frames=True,
            sample_rate=RATE,
            settings=TTSSettings(model=None, voice="en-us", language=None),
        )

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Yield the audio of a sentence."""
        spoken = await asyncio.to_thread(
            subprocess.run,
            ["espeak-ng", "-v", "en-us", "--stdout"],
            input=text.encode(),
            capture_output=True,
            check=True,
        )
        with wave.open(BytesIO(spoken.stdout)) as clip:
            rate, samples = clip.getframerate(), clip.readframes(clip.getnframes())

        async def pieces() -> AsyncIterator[bytes]:
            yield samples[: len(samples) // 2 * 2]

        async for frame in self._stream_audio_frames_from_iterator(
            pieces(), in_sample_rate=rate, context_id=context_id
        ):
            yield frame


async def serve(port: int, folder: str) -> None:
    """Serve one client at a time until the program is ended."""
    transport = SingleClientWebsocketServerTransport(
        params=SingleClientWebsocketServerParams(
            serializer=ProtobufFrameSerializer(),
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_in_sample_rate=RATE,
            audio_out_sample_rate=RATE,
            add_wav_header=False,
        ),
        host="127.0.0.1",
        port=port,
    )
    aggregators = LLMContextAggregatorPair(
        LLMContext(), user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())
    )
    pipeline = Pipeline(
        [
            transport.input(),
            Hearing(folder),
            aggregators.user(),
            Rules(),
            Speaking(),
            transport.output(),
            aggregators.assistant(),
        ]
    )
    worker = PipelineWorker(
        pipeline,
        params=PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE),
        idle_timeout_secs=None,
    )
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    print(f"listening on ws://127.0.0.1:{port}", flush=True)  # noqa: T201 - a program's output
    await runner.run()


if __name__ == "__main__":
    logger.remove()
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
