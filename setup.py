"""Put into the wheel what the module reads from beside itself in a checkout: parameters, notebooks,
published records.

Everything else about the package stands in ``pyproject.toml``, which cannot name folders outside of
the package.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

FOLDERS = ("params", "notebooks", "results")


class BuildWithStudy(build_py):
    """Copies the folders to ``fer_study/study/``, where ``settings/checkout.py`` looks for them
    outside of a checkout."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        study = Path(self.build_lib, "fer_study", "study")
        shutil.rmtree(
            study, ignore_errors=True
        )  # an earlier build's records may be gone from the checkout
        for folder in FOLDERS:
            shutil.copytree(
                folder, study / folder, ignore=shutil.ignore_patterns(".*", "__pycache__")
            )


setup(cmdclass={"build_py": BuildWithStudy})
