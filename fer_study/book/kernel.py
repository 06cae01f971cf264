"""Execute a notebook in a process that does nothing else."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

from ..settings.errors import InputError

PACKAGES = ("papermill", "nbformat", "nbclient", "nbconvert", "ipykernel")
"""What work on notebooks needs of the extra ``book``."""


def check_packages() -> None:
    """Refuse work on notebooks where their packages are not installed, before hours of training.

    Raises:
        InputError: the extra ``book`` was left out.
    """
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise InputError(
            f"notebooks need packages that are not installed ({', '.join(missing)}); "
            "install the extra that has them: pip install '.[book]'"
        )


def executed(notebook: Path, parameters: dict, folder: Path) -> tuple[str, str | None, float]:
    """Execute a notebook with its kernel in a folder: its text, or the message of its failure; and
    its seconds.

    The kernel is that of this Python: another environment's would bring its own version of the
    module along. Nothing is written on the way.
    """
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError

    start = time.perf_counter()
    try:
        try:
            done = _execute(notebook, parameters, folder)
        except RuntimeError as error:
            if "before replying" not in str(error):
                raise
            # it has run nothing: another that started at the same moment took its port
            done = _execute(notebook, parameters, folder)
        return nbformat.writes(done), None, time.perf_counter() - start
    except papermill.PapermillExecutionError as error:
        reason = " ".join(f"{error.ename}: {error.evalue}".split())
        failure = f"{notebook.name}: cell {error.exec_count} failed with {reason}"
    except DeadKernelError:
        failure = f"{notebook.name}: its kernel died: out of memory?"
    except Exception as error:  # it costs this page, not the others
        failure = f"{notebook.name}: {type(error).__name__}: {' '.join(str(error).split())}"
    return "", failure, time.perf_counter() - start


def _execute(notebook: Path, parameters: dict, folder: Path) -> dict:
    import papermill

    return papermill.execute_notebook(
        notebook,
        None,
        parameters,
        kernel_name="python3",
        cwd=folder,
        progress_bar=False,
        log_output=False,
        kernel_manager_class=own_kernel(),
        # it warns that it listens to this machine, and that it ends
        extra_arguments=["--log-level=CRITICAL"],
    )


def own_kernel() -> type:
    """What starts the kernel of this interpreter, though others may be installed as ``python3``."""
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpecManager

    class OwnKernel(AsyncKernelManager):
        def _kernel_spec_manager_default(self) -> KernelSpecManager:
            return KernelSpecManager(kernel_dirs=[])

    return OwnKernel
