"""Missing files and the description of their download, shown before anything is transferred. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from models.catalogue.own import known
from models.catalogue.row import Weights
from models.catalogue.weights import find_row
from models.downloads.checksums import distinct
from models.downloads.download import remaining_files
from models.downloads.hub_cache import cache_folder
from models.files import short


@dataclass(frozen=True)
class DownloadItem:
    """Title, size, licence and page of one row, shown before its download begins."""

    id: str
    title: str
    files: tuple[str, ...]
    """Names of the files that would be transferred."""
    size: int | None
    """Bytes of those files, rounded; None where one of them is unknown."""
    licence: str
    use: str
    """The permitted use, in one sentence."""
    page: str
    """Where the files and their terms can be read."""
    place: str
    """The folder the files go to."""


def missing_rows(ids: Iterable[str]) -> list[Weights]:
    """Return the rows of these ids that are not whole on this disk, each set of files once. LookupError for an unknown id."""
    return [row for row in distinct(known(id) for id in ids) if find_row(row) is None]


def describe_download(rows: Iterable[Weights]) -> list[DownloadItem]:
    """Return what the download of these rows would bring; rows that ship with the project cannot be downloaded."""
    place = short(cache_folder())
    items: list[DownloadItem] = []
    for row in distinct(rows):
        if row.repo:
            files = remaining_files(row) or row.files  # all of them where one in the cache is damaged
            names = tuple(file.name for file in files)
            size = _total(file.size for file in files)
            items.append(DownloadItem(row.id, row.title, names, size, row.licence, row.use, row.page, place))
    return items


def total_size(items: Iterable[DownloadItem]) -> int | None:
    """Return the bytes of all items; None where one of them is unknown."""
    return _total(item.size for item in items)


def _total(sizes: Iterable[int | None]) -> int | None:
    known_sizes = list(sizes)
    return None if None in known_sizes else sum(size for size in known_sizes if size is not None)
