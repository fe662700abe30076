import hashlib
from pathlib import Path

from widthwise.training.checksum import compute_checksum, describe_damage


def test_the_checksum_is_the_sha256_of_the_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "w").write_bytes(content)
    assert compute_checksum(tmp_path / "w") == hashlib.sha256(content).hexdigest()


def test_what_cannot_be_read_has_no_checksum(tmp_path: Path) -> None:
    assert compute_checksum(tmp_path / "w") is None
    assert compute_checksum(tmp_path) is None


def test_damage_is_told_as_expected_and_got(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_bytes(b"a")
    # From `printf a | sha256sum` and `printf b | sha256sum`.
    found, other = compute_checksum(path), "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d"
    assert describe_damage(path, found) is None
    assert describe_damage(path, other) == f"expected {path} with sha256 3e23e8160039..., got sha256 ca978112ca1b..."
    assert describe_damage(path, None) == f"expected {path} as it was written, got sha256 ca978112ca1b..."
    path.unlink()
    assert describe_damage(path, other) == f"expected {path} with sha256 3e23e8160039..., got no such file"
    assert describe_damage(path, None) == f"expected {path} as it was written, got no such file"
