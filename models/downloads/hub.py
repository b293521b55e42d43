"""One file on the hub: where it is, what it must be once it is here, and why it cannot be had. Loads no torch."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.request import getproxies, proxy_bypass

from models.catalogue.places import needs, remedy
from models.catalogue.row import File, Weights
from models.errors import DownloadError, MissingError, WeightsError

_COMMIT = re.compile(r"[0-9a-f]{40}")
_ETAG = re.compile(r"[A-Za-z0-9_-]{1,128}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NO_TOKEN = "Invalid credentials in Authorization header"


class TransferError(Exception):
    """Why a transfer failed and what to do, as a clause."""


@dataclass(frozen=True)
class Remote:
    """A file of a repository at one commit."""

    repo: str
    name: str
    commit: str
    etag: str
    """Name of its content: the SHA-256 of a large file, the SHA-1 of git of a small one."""
    size: int | None
    """Bytes; None where the hub does not announce them."""
    url: str

    @property
    def sha256(self) -> str | None:
        """The checksum that its content must have; None where the hub does not announce it."""
        return self.etag if _SHA256.fullmatch(self.etag) else None

    @property
    def has_checksum(self) -> bool:
        """Whether a content that was put together from two transfers can be checked."""
        return bool(self.sha256 or self.sha1)

    @property
    def sha1(self) -> str | None:
        """The checksum of git, or of the content alone as some mirrors have it; None for a large file."""
        return self.etag if _COMMIT.fullmatch(self.etag) else None


def look_up(repo: str, name: str, revision: str) -> Remote:
    """Ask the hub for a file, once; raises what `failure` understands."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url

    found = get_hf_file_metadata(hf_hub_url(repo, name, revision=revision), timeout=constants.HF_HUB_ETAG_TIMEOUT)
    if not _COMMIT.fullmatch(found.commit_hash or "") or not _ETAG.fullmatch(found.etag or ""):
        raise TransferError(another_answers())
    if _COMMIT.fullmatch(revision) and found.commit_hash != revision:
        raise TransferError(f"{repo} changed while its files came; try again")
    assert found.commit_hash and found.etag
    url = hf_hub_url(repo, name, revision=found.commit_hash)
    return Remote(repo, name, found.commit_hash, found.etag, found.size, url)


def patience() -> float:
    """Return the seconds without any data after which an answer is given up: HF_HUB_DOWNLOAD_TIMEOUT, else 10."""
    from huggingface_hub import constants

    return constants.HF_HUB_DOWNLOAD_TIMEOUT


def hub_name() -> str:
    """Return the host of the hub or of the mirror that HF_ENDPOINT names."""
    return _endpoint().split("//")[-1]


def _endpoint() -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT


def another_answers() -> str:
    return f"something between here and {hub_name()} answered in its place; check the proxy or the network's login page"


def failure(error: Exception, row: Weights, file: File) -> WeightsError:
    """Return the error of a failed download, in one sentence."""
    import httpx2
    from huggingface_hub import errors

    what = f"{needs(row, file)}, but"
    if isinstance(error, TransferError):
        return DownloadError(f"{what} {error}.")
    if tls := next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLError)), None):
        return DownloadError(f"{what} {_insecure(tls)}.")
    if isinstance(error, httpx2.ProxyError):
        return DownloadError(
            f"{what} the proxy refuses to connect to {hub_name()} ({error}); check HTTPS_PROXY, and the name and password in it."
        )
    if unusable := _unusable(error):
        return DownloadError(f"{what} {unusable}.")
    if isinstance(error, httpx2.ConnectError | httpx2.TimeoutException | errors.OfflineModeIsEnabled):
        return MissingError(
            f"{what} {hub_name()} cannot be reached{_through_proxy()}: {_unreachable(error)}; {remedy(row)}."
        )
    why = _refusal(error, row) if isinstance(error, errors.HfHubHTTPError) else _fault(error)
    return DownloadError(f"{what} {why}.")


def _unusable(error: Exception) -> str:
    """Return which variable keeps a connection from being prepared, as a clause; empty where none does."""
    import httpx2

    if isinstance(error, ImportError):
        return (
            "the proxy in ALL_PROXY or HTTPS_PROXY is a SOCKS proxy, which needs one more package; run `pip install socksio`, "
            "or name a proxy that begins with http://"
        )
    if isinstance(error, httpx2.UnsupportedProtocol) and "://" not in _endpoint():
        return f"{hub_name()} is no address to download from; HF_ENDPOINT must begin with https://"
    if isinstance(error, FileNotFoundError) and error.filename is None:  # as ssl raises it
        return "SSL_CERT_FILE or SSL_CERT_DIR points to certificates that are not there; correct it or leave it out"
    if isinstance(error, httpx2.InvalidURL | ValueError):
        return (
            f"the variables of proxies cannot be used ({error}); HTTPS_PROXY must be like http://host:port or "
            "socks5://host:port, and NO_PROXY names joined by commas"
        )
    return ""


def _through_proxy() -> str:
    """Return ' through the proxy NAME' where requests to the hub go through one; its user and password are not named."""
    proxies = {} if proxy_bypass(hub_name()) else getproxies()
    address = proxies.get("https") or proxies.get("all") or ""
    host = address.split("://")[-1].rsplit("@")[-1].rstrip("/")
    return f" through the proxy {host}" if host else ""


def _refusal(error: Exception, row: Weights) -> str:
    """Return why the hub refuses, as a clause."""
    from huggingface_hub import errors

    assert isinstance(error, errors.HfHubHTTPError)
    status, headers = error.response.status_code, error.response.headers
    if isinstance(error, errors.GatedRepoError):
        return f"its authors ask you to accept their terms first: do so at {row.page} and set HF_TOKEN"
    if isinstance(error, errors.DisabledRepoError):
        return f"{hub_name()} has closed {row.repo}; {remedy(row)}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{row.repo} no longer has revision {row.revision}; try again, or {remedy(row)}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"there is no repository {row.repo} at {hub_name()}, or it is private: check the name, or set HF_TOKEN"
    if isinstance(error, errors.EntryNotFoundError):
        return f"{row.repo} has no such file; {remedy(row)}"
    if status == 401 and headers.get("X-Error-Message") == _NO_TOKEN:
        return f"{hub_name()} does not accept your token; set HF_TOKEN to a valid one, or remove it"
    if status in (401, 403):
        return f"{row.repo} refuses access (error {status}); set HF_TOKEN to a token that may read it"
    if status == 429:
        wait = headers.get("Retry-After", "")
        when = f"in {wait} s" if wait.isdecimal() else "in some minutes"
        return f"{hub_name()} got too many requests from here (error 429); try again {when}"
    return f"{hub_name()} answered with error {status}; try again later"


def _fault(error: Exception) -> str:
    """Return a fault of this machine or of the connection, as a clause."""
    import httpx2
    from huggingface_hub import constants, errors

    number, cache = error.errno if isinstance(error, OSError) else None, constants.HF_HUB_CACHE
    if number == errno.ENOSPC or number == errno.EDQUOT:
        return f"the disk is full; make room in {cache}, or point HF_HOME to another disk"
    if number == errno.EFBIG:
        return f"the disk takes no file of this size; point HF_HOME to a disk that does, in place of {cache}"
    if number in (errno.EACCES, errno.EROFS, errno.EPERM):
        return f"{cache} cannot be written to; point HF_HOME to a folder that can"
    if number in (errno.ENOTDIR, errno.EEXIST):
        return f"{cache} is not a folder; point HF_HOME to one"
    if isinstance(error, errors.FileMetadataError):
        return another_answers()
    if isinstance(error, httpx2.UnsupportedProtocol | httpx2.TooManyRedirects | httpx2.InvalidURL):
        return f"{hub_name()} sends the download to an address that is not followed; check HF_ENDPOINT"
    return f"the download broke off ({type(error).__name__}); try again, it goes on where it ended"


def _unreachable(error: Exception) -> str:
    """Return why there is no connection, as a clause."""
    import httpx2

    if isinstance(error, httpx2.TimeoutException):
        return "it does not answer"
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return "its name is not known here"
        if isinstance(cause, ConnectionRefusedError) or getattr(cause, "errno", None) == errno.ECONNREFUSED:
            return "the connection is refused"
    return "there is no connection"


def _insecure(error: ssl.SSLError) -> str:
    """Return why there is no encrypted connection, as a clause."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {hub_name()} is not trusted, as where a proxy or a virus scanner reads along; "
            "set SSL_CERT_FILE to the certificates that this network uses"
        )
    return f"the encrypted connection to {hub_name()} fails; check HTTPS_PROXY, HF_ENDPOINT and the network"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came from."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__
