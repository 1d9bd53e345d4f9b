"""A folder of images, in folders of their own by class or not: how many, and how large."""

from __future__ import annotations

from pathlib import Path

from vramcast.data.image_files import find_files, names_of, read_sizes
from vramcast.data.interface import DataSet, Malformed, Progress, printable
from vramcast.errors import InvalidFileError


class ImageFolder:
    """As torchvision's `ImageFolder` has it."""

    name = "image-folder"
    looks_like = "a folder of images"

    def matches(self, path: Path) -> bool:
        """Any folder."""
        return path.is_dir()

    def read(self, path: Path, progress: Progress) -> DataSet:
        """Read the sizes of all images below the folder. Raises as `Kind.read`."""
        images = find_files(path)
        if not images:
            raise InvalidFileError(f"'{path}' holds no images, and neither data.yaml nor labels. Name a data set, or the folder its images lie in.")
        malformed = Malformed()
        sizes, notes = read_sizes(images, malformed, progress)
        return DataSet(
            source=printable(str(path)), kind=self.name, names=names_of(images, path), sizes=sizes, malformed=malformed.count,
            malformed_examples=tuple(malformed.examples), notes=notes,
        )  # fmt: skip
