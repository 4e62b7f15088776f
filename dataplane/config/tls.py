"""A certificate to serve with, and its key: paths in the config, texts once they were read."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, PrivateAttr, ValidationInfo, model_validator

from dataplane.config.section import File, Model

__all__ = ["Tls"]


class Tls(Model):
    """A certificate to serve HTTPS with."""

    certificate: File = Field(description="PEM file with the certificate and its chain.")
    key: File = Field(description="PEM file with the private key, without a passphrase.")
    _pem: tuple[str, str] | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _kept(self, info: ValidationInfo) -> Tls:
        """What the files say is kept with the config where its reader keeps files (`Files`, by absolute path)."""
        files: dict[str, str] | None = (info.context or {}).get("files")
        if files is not None:
            for path in (self.certificate, self.key):
                if str(path) not in files and path.is_file():
                    files[str(path)] = _text(path)
            found = [files.get(str(path)) for path in (self.certificate, self.key)]
            if found[0] is not None and found[1] is not None:
                self._pem = found[0], found[1]
        return self

    def pem(self) -> tuple[bytes, bytes]:
        """Certificate and key as they were read with the config, else as the files are now; raises OSError."""
        certificate, key = self._pem or (_text(self.certificate), _text(self.key))
        return certificate.encode("latin-1"), key.encode("latin-1")


def _text(path: Path) -> str:
    """PEM with any bytes between its blocks, as text that JSON carries."""
    return path.read_bytes().decode("latin-1")
