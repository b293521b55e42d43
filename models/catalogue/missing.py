"""Missing files and the description of their download, shown before anything is transferred. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from models.catalogue.own import known
from models.catalogue.row import Weights, total_text
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
    least: int
    """Bytes of those whose size is known."""
    licence: str
    use: str
    """The permitted use, in one sentence."""
    gate: str
    """What to do first where the files are gated, in one sentence; else empty."""
    page: str
    """Where the files and their terms can be read."""
    place: str
    """The folder the files go to."""

    @property
    def size_words(self) -> str:
        """Size as users read it; 'at least …' where one file's is unknown."""
        return total_text((self.least, self.size if self.size is None else 0))


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
            sizes = [file.size for file in files]
            least = sum(filter(None, sizes))
            item = DownloadItem(
                id=row.id,
                title=row.title,
                files=names,
                size=None if None in sizes else least,
                least=least,
                licence=row.licence,
                use=row.use,
                gate=row.gate,
                page=row.page,
                place=place,
            )
            items.append(item)
    return items


def total_words(items: Iterable[DownloadItem]) -> str:
    """Return the size of all items as users read it: 'at least …', the sum of all that is known, where some is not."""
    listed = list(items)
    known_sizes = (item.least for item in listed)
    return total_text([*known_sizes, *(None for item in listed if item.size is None)])
