"""Execute a notebook in a process that does nothing else."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path


def executed(notebook: Path, parameters: dict, folder: Path) -> tuple[str, str | None, float]:
    """Execute a notebook with its kernel in a folder: its text, or the message of its failure; and its seconds.

    The kernel is that of this Python: another environment's would bring its own version of the module along. Nothing is
    written on the way.
    """
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError

    os.environ["JUPYTER_PATH"] = os.path.join(sys.prefix, "share", "jupyter")  # looked into before any other place
    start = time.perf_counter()
    try:
        done = papermill.execute_notebook(
            notebook, None, parameters, kernel_name="python3", cwd=folder, progress_bar=False, log_output=False,
            extra_arguments=["--log-level=ERROR"],  # it warns that it listens to this machine
        )  # fmt: skip
        return nbformat.writes(done), None, time.perf_counter() - start
    except papermill.PapermillExecutionError as error:
        reason = " ".join(f"{error.ename}: {error.evalue}".split())
        failure = f"{notebook.name}: cell {error.exec_count} failed with {reason}"
    except DeadKernelError:
        failure = f"{notebook.name}: its kernel died: out of memory?"
    return "", failure, time.perf_counter() - start
