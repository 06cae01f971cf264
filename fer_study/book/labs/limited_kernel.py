"""A fresh kernel in an empty folder that runs code with a time limit and may be killed by it."""

from __future__ import annotations

import ast
import subprocess
import tempfile
import time
from queue import Empty
from typing import NamedTuple

START = 120
"""Seconds that a kernel may take to start."""

GRACE = 5
"""Seconds that code may take to end once it is interrupted."""


class KernelDied(Exception):
    """The kernel ended, or had to be ended; says why."""


class Reply(NamedTuple):
    """What came of a piece of code.

    Attributes:
        problem: name of its error, or which limit it met; empty where there was none.
        value: of the expression that was asked for, a string; None without one.
    """

    problem: str = ""
    value: str | None = None


class LimitedKernel:
    """A kernel of this Python, from ``with`` to its end; nobody listens to what it prints.

    Raises:
        RuntimeError: it did not start.
    """

    def __enter__(self) -> LimitedKernel:
        try:
            return self._started()
        except KernelDied:  # another that started at the same moment may have taken its port
            pass
        try:
            return self._started()
        except KernelDied as reason:
            raise RuntimeError(f"a kernel did not start: {reason}") from None

    def _started(self) -> LimitedKernel:
        from jupyter_client import KernelManager
        from jupyter_client.kernelspec import KernelSpecManager

        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        own = KernelSpecManager(kernel_dirs=[])  # others may be installed as python3
        self.manager = KernelManager(kernel_name="python3", kernel_spec_manager=own)
        self.manager.start_kernel(
            cwd=self.folder.name,
            extra_arguments=["--log-level=CRITICAL"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.client = self.manager.blocking_client()
        self.client.start_channels(iopub=False, stdin=False, hb=False)
        try:
            self.run("pass", START)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.folder.cleanup()

    def run(self, code: str, seconds: float, expression: str = "") -> Reply:
        """Run code, then evaluate an expression, if it is asked for and there was no error.

        Raises:
            KernelDied: it ended, did not stop when it was interrupted, or sent nonsense.
        """
        wanted = {"value": expression} if expression else {}
        sent = self.client.execute(
            code, store_history=False, allow_stdin=False, user_expressions=wanted
        )
        reply, late = self._reply(sent, seconds)
        try:
            if any(payload["source"] == "ask_exit" for payload in reply.get("payload", ())):
                raise KernelDied("ended the kernel")
            result = (
                reply["user_expressions"].get("value", {}) if reply["status"] == "ok" else reply
            )
            problem = " ".join(str(result.get("ename", "")).split())[:100]
            if late or problem or not expression:
                return Reply(f"over {seconds:.0f} s" if late else problem)
            return Reply(value=str(ast.literal_eval(result["data"]["text/plain"])))
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            MemoryError,
            RecursionError,
            SyntaxError,
            TypeError,
            ValueError,
        ):  # the code can send whatever it likes
            return Reply("a reply that cannot be read")

    def _reply(self, sent: str, seconds: float) -> tuple[dict, bool]:
        """Wait for the reply; interrupt the kernel after so many seconds."""
        end, late = time.monotonic() + seconds, False
        while True:
            try:
                left = end - time.monotonic()
                message = self.client.get_shell_msg(timeout=max(0.05, min(1, left)))
                if message["parent_header"].get("msg_id") == sent:
                    return message["content"], late
            except Empty:
                if not self.manager.is_alive():
                    raise KernelDied("ended the kernel") from None
                if time.monotonic() >= end and late:
                    raise KernelDied(f"over {seconds:.0f} s, and did not stop") from None
                if time.monotonic() >= end:
                    self.manager.interrupt_kernel()
                    end, late = time.monotonic() + GRACE, True
            except Exception as error:  # not a message, or not signed
                raise KernelDied(f"sent nonsense ({type(error).__name__})") from None
