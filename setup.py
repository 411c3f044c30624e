"""What pyproject.toml cannot say: the wheel has copies of the files in the root that a new project begins with."""

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

sys.path.insert(0, str(Path(__file__).parent))
from pipeline.core.shipped import IN_WHEEL, SHIPPED


class WithShipped(build_py):
    """Builds the packages, and puts those copies beside them; an editable installation has the originals."""

    def run(self) -> None:
        """Build."""
        super().run()
        if not self.editable_mode:
            for name in SHIPPED:
                copy = Path(self.build_lib, IN_WHEEL, name)
                copy.parent.mkdir(parents=True, exist_ok=True)
                self.copy_file(name, str(copy))


setup(cmdclass={"build_py": WithShipped})
