"""Addresses of clusters: what is accepted, what is refused, and why."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml  # noqa: TID251 - what is read is YAML

from optlab.core.errors import InvalidInput
from optlab.runners.cluster.address import MAX_FILE_BYTES, Certificates, ClusterAddress, parse


def written(folder: Path, text: str | bytes) -> str:
    path = folder / "cluster.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def refused(address: str, **options: bool) -> str:
    with pytest.raises(InvalidInput) as caught:
        parse(address, yaml=yaml, **options)
    message = str(caught.value)
    assert "\n" not in message and "Traceback" not in message
    return message


@pytest.mark.parametrize(
    "address",
    [
        "tcp://127.0.0.1:8786",
        "tcp://127.9.0.1:8786",
        "tcp://localhost:8786",
        "tcp://[::1]:8786",
        "tls://cluster.example:8786",
        "tls://192.0.2.7:1",
    ],
)
def test_that_loopback_and_tls_are_accepted(address):
    assert parse(address) == ClusterAddress(scheduler=address)


@pytest.mark.parametrize(
    "host",
    ["192.0.2.7", "0.0.0.0", "cluster.example", "localhost.example", "127.0.0.1.example", "[::]"],
)
def test_that_another_machine_is_refused_without_tls_in_one_sentence_that_says_why(host):
    message = refused(f"tcp://{host}:8786")
    assert "executes whatever anybody sends it" in message and "--insecure" in message
    assert parse(f"tcp://{host}:8786", insecure=True).scheduler == f"tcp://{host}:8786"


@pytest.mark.parametrize("workers", [1, 4, 256])
def test_that_local_names_a_number_of_workers(workers):
    assert parse(f"local:{workers}") == ClusterAddress(workers=workers)


@pytest.mark.parametrize("count", ["", "0", "257", "-1", "1.5", "two", "²", "1e2", "9" * 5000])
def test_that_another_number_of_workers_is_refused(count):
    assert "local:4" in refused(f"local:{count}")


@pytest.mark.parametrize(
    "address",
    [
        "tcp://",
        "tcp://localhost",
        "tcp://localhost:",
        "tcp://localhost:0",
        "tcp://localhost:65536",
        "tcp://localhost:port",
        "tcp://:8786",
        "tcp://[::1:8786",
        "tcp://someone@localhost:8786",
        "tcp://localhost:8786/path",
        "tcp://localhost:8786?query",
        "tls://local host",
    ],
)
def test_that_an_address_without_host_and_port_or_with_more_is_refused(address):
    assert "host and port" in refused(address)


@pytest.mark.parametrize("address", ["", "local", "cluster", "http://localhost:1", "a/b.toml"])
def test_that_what_is_no_address_is_refused_with_the_forms(address):
    assert "local:N" in refused(address)


def test_that_a_file_names_scheduler_and_certificates_relative_to_itself(tmp_path):
    file = written(
        tmp_path,
        "scheduler: tls://cluster.example:8786\n"
        "tls:\n  ca: ca.pem\n  cert: keys/me.pem\n  key: /etc/me.key\n",
    )
    assert parse(file, yaml=yaml) == ClusterAddress(
        "tls://cluster.example:8786",
        certificates=Certificates(
            tmp_path / "ca.pem", tmp_path / "keys/me.pem", Path("/etc/me.key")
        ),
    )


def test_that_a_file_does_not_get_around_the_refusal(tmp_path):
    file = written(tmp_path, "scheduler: tcp://cluster.example:8786\n")
    assert "--insecure" in refused(file)
    assert parse(file, insecure=True, yaml=yaml).scheduler == "tcp://cluster.example:8786"


TLS = "scheduler: tls://a:1\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no scheduler"),
        ("- a\n- b\n", "names no scheduler"),
        ("tls: {}\n", "names no scheduler"),
        ("scheduler: [tls://a:1]\n", "names no scheduler"),
        ("scheduler: cluster.example\n", "is not an address"),
        ("scheduler: local:2\n", "is not an address"),
        ("scheduler: tls://cluster.example\n", "host and port"),
        (TLS + "workers: 3\n", "'workers', which is not known"),
        (TLS + "? [a]\n: 3\n", "'a list', which is not known"),
        (TLS + TLS, "'scheduler' twice (line 2)"),
        (TLS + "tls: yes\n", "tls must have ca, cert, key"),
        (TLS + "tls:\n  ca: a\n  cert: b\n", "names no key"),
        (TLS + "tls:\n  ca: a\n  cert: b\n  key: {a: b}\n", "names no key"),
        (TLS + "tls:\n  ca: a\n  cert: b\n  key: c\n  password: d\n", "'password', which is not"),
        ("scheduler: tcp://localhost:1\ntls:\n  ca: a\n  cert: b\n  key: c\n", "tls://localhost:1"),
        ("scheduler: 'tls://a:1\n", "is not valid YAML (line "),
        ("a: b: c\n", "is not valid YAML (line 1)"),
        ("--- 1\n--- 2\n", "is not valid YAML (line 2)"),
        ("scheduler: &a [*a]\n", "names no scheduler"),
        ("[" * 30_000, "nested too deeply"),
        (b"\xff\xfe\x00", "UTF-8"),
        ("scheduler: \x07\n", "is not valid YAML"),
        ("#" * (MAX_FILE_BYTES + 1), "larger than 64 KiB"),
    ],
)
def test_that_a_malformed_file_is_refused_with_its_place(tmp_path, text, words):
    message = refused(written(tmp_path, text))
    assert words in message and "cluster.yaml" in message


def test_that_nothing_in_a_file_is_constructed(tmp_path):
    trace = tmp_path / "trace"
    refused(written(tmp_path, f"scheduler: !!python/object/apply:pathlib.Path.touch ['{trace}']\n"))
    laughs = ["a0: &a0 {x: y}"] + [
        f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 40)
    ]
    assert "not known" in refused(written(tmp_path, "\n".join(laughs)))
    assert not trace.exists()


def test_that_a_missing_or_special_file_is_refused(tmp_path):
    assert "No such file" in refused(str(tmp_path / "none.yaml"))
    (tmp_path / "folder.yaml").mkdir()
    assert "a folder" in refused(str(tmp_path / "folder.yaml"))
