"""Loads settings: flag > environment > file > default, and remembers where each value came from.

The file is YAML (`txnpipe.yaml` in the working directory, or --config, or TXNPIPE_CONFIG). The environment
has one variable per setting: stream.shards is TXNPIPE_STREAM_SHARDS. Every mistake is one TxnpipeError that
names the key, the line and, for an unknown key, the nearest known one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import yaml

from txnpipe.config.settings import Settings
from txnpipe.errors import TxnpipeError, usage_error
from txnpipe.names import MAX_PIPELINE_NAME_LENGTH, PIPELINE_NAME

DEFAULT_FILE = "txnpipe.yaml"
PREFIX = "TXNPIPE_"
RESERVED = {"TXNPIPE_HOME", "TXNPIPE_CONFIG"}
"""Variables that are not settings: the local cloud's home, and the path of the configuration file."""


@dataclass(frozen=True)
class Loaded:
    """Settings and, for each key that somebody set, who: "flag --target", "TXNPIPE_REGION", "x.yaml:3"."""

    settings: Settings
    origins: Mapping[str, str]

    def origin(self, key: str) -> str:
        """Where the value of `key` ("stream.shards") came from; a key below a set one inherits its origin."""
        parts = key.split(".")
        candidates = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
        return next((self.origins[name] for name in candidates if name in self.origins), "default")


@dataclass(frozen=True)
class Key:
    """One setting: dotted name, type with its bounds, default, description."""

    name: str
    type: Any
    default: object
    description: str


def keys(struct: type[msgspec.Struct] = Settings, prefix: str = "") -> Iterator[Key]:
    """Every setting below `struct`, in order of definition."""
    hints = get_type_hints(struct, include_extras=True)
    for info in msgspec.structs.fields(struct):
        section = _section(hints[info.name])
        if section is not None:
            yield from keys(section, f"{prefix}{info.name}.")
            continue
        default = info.default_factory() if info.default is msgspec.NODEFAULT else info.default
        yield Key(prefix + info.name, hints[info.name], default, _description(hints[info.name]))


def load(
    flags: Mapping[str, tuple[str, object]],
    environ: Mapping[str, str],
    file: Path | None,
    directory: Path,
) -> Loaded:
    """Settings from all four sources.

    flags: key → (name of the flag, value); file: named by --config, None for the default; directory: where
    the default file is looked for. Raises TxnpipeError (USAGE).
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    path = _file_to_read(file, environ, directory)
    if path is not None:
        values = _read_file(path, origins)
    known = {key.name: key for key in keys()}
    for name, text in _environment(environ, known):
        _put(values, name, _environment_value(text, known[name].type, _variable(name)))
        origins[name] = _variable(name)
    for name, (flag, value) in flags.items():
        _put(values, name, value)
        origins[name] = f"flag {flag}"
    return Loaded(_check(_convert(values, Loaded(Settings(), origins))), origins)


def _section(annotation: Any) -> type[msgspec.Struct] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct) else None


def _description(annotation: Any) -> str:
    for candidate in (annotation, *get_args(annotation)):
        if get_origin(candidate) is Annotated:
            for extra in candidate.__metadata__:
                if isinstance(extra, msgspec.Meta) and extra.description:
                    return extra.description
    return ""


def _file_to_read(file: Path | None, environ: Mapping[str, str], directory: Path) -> Path | None:
    named = file or (Path(environ["TXNPIPE_CONFIG"]) if environ.get("TXNPIPE_CONFIG") else None)
    if named is None:
        default = directory / DEFAULT_FILE
        return default if default.is_file() else None
    if not named.is_file():
        raise usage_error(
            f"The configuration file {named} {'is a directory' if named.is_dir() else 'does not exist'}.",
            "Check the path, or write a new file with: txnpipe config init",
        )
    return named


def _read_file(path: Path, origins: dict[str, str]) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise usage_error(
            f"{path} is not valid YAML: {error.problem or error.context} in line {line}.",
            f"Correct line {line}; config.example.yaml shows the form.",
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: 2026-13-01 is no date
        raise usage_error(f"{path} is not a YAML text: {error}.", "Save it as UTF-8 YAML.") from error
    except OSError as error:
        raise usage_error(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from error
    if document is None:
        return {}
    if not isinstance(root, yaml.MappingNode) or not isinstance(document, dict):
        raise usage_error(
            f"{path} holds no settings: a mapping of keys was expected at the top.",
            "See config.example.yaml for the form.",
        )
    _walk(root, Settings, "", path, origins)
    return document


def _walk(
    node: yaml.MappingNode, struct: type[msgspec.Struct], prefix: str, path: Path, origins: dict[str, str]
) -> None:
    """Records the line of each key; refuses unknown and repeated ones."""
    hints = get_type_hints(struct, include_extras=True)
    seen: set[str] = set()
    for key_node, value_node in node.value:
        name, line = str(key_node.value), key_node.start_mark.line + 1
        if name in seen:
            raise usage_error(
                f"{path} line {line}: {prefix}{name} is set twice.", "Keep one of the two lines."
            )
        seen.add(name)
        if name not in hints:
            raise _unknown(f"{path} line {line}", prefix + name)
        origins[prefix + name] = f"{path}:{line}"
        section = _section(hints[name])
        if section is not None and isinstance(value_node, yaml.MappingNode):
            _walk(value_node, section, f"{prefix}{name}.", path, origins)


def _unknown(where: str, name: str) -> TxnpipeError:
    every = [key.name for key in keys()]
    sections = sorted({known.rsplit(".", 1)[0] for known in every if "." in known})
    nearest = difflib.get_close_matches(name, every + sections, n=1, cutoff=0.5)
    if not nearest:
        leaf = {known.rsplit(".", 1)[-1]: known for known in every}
        nearest = [leaf[match] for match in difflib.get_close_matches(name.rsplit(".", 1)[-1], leaf, n=1)]
    hint = f"Did you mean {nearest[0]}?" if nearest else "txnpipe config show lists every key."
    return usage_error(f"{where}: unknown setting {name}.", hint)


def _variable(name: str) -> str:
    return PREFIX + name.replace(".", "_").upper()


def _environment(environ: Mapping[str, str], known: Mapping[str, Key]) -> Iterator[tuple[str, str]]:
    variables = {_variable(name): name for name in known}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in RESERVED:
            continue
        if variable not in variables:
            nearest = difflib.get_close_matches(variable, variables, n=1)
            raise usage_error(
                f"The environment variable {variable} is no setting.",
                f"Did you mean {nearest[0]}?"
                if nearest
                else "Unset it; txnpipe config show lists every key.",
            )
        yield variables[variable], environ[variable]


def _environment_value(text: str, annotation: Any, variable: str) -> object:
    """A variable's value: the text itself where the setting is a string, even if YAML sees a number in it."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if annotation is str or (annotation == (str | None) and text not in ("", "null", "~")):
        return text
    if get_origin(annotation) is Literal:  # all of them are choices between words, and "3.13" is one
        return text
    return _scalar(text, variable)


def _scalar(text: str, where: str) -> object:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise usage_error(f"{where} is not a YAML value: {text!r}.", "Quote the value.") from error


def _put(values: dict[str, Any], name: str, value: object) -> None:
    *sections, leaf = name.split(".")
    for section in sections:
        below = values.get(section)
        values[section] = below = dict(below) if isinstance(below, dict) else {}
        values = below
    values[leaf] = value


def _convert(values: dict[str, Any], sources: Loaded) -> Settings:
    try:
        return msgspec.convert(values, Settings)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at ")
        name = place.strip("`").removeprefix("$").removeprefix(".")
        name = re.sub(r"\[\.\.\.\]|\[\d+\]", "", name)
        key = next((key for key in keys() if key.name == name), None)
        raise usage_error(
            f"{name or 'The configuration'} is wrong ({sources.origin(name)}): {_lower_first(message)}.",
            _how_to_correct(key) if key else "See config.example.yaml for the form.",
        ) from error


def _how_to_correct(key: Key) -> str:
    choices = [
        value
        for part in (key.type, *get_args(key.type))
        if get_origin(part) is Literal
        for value in get_args(part)
    ]
    if choices:
        return f"Use one of: {', '.join(map(str, choices))}."
    return f"Correct the value. What it is: {key.description}."


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:].replace("`", "")


def _check(settings: Settings) -> Settings:
    name = settings.pipeline
    if not PIPELINE_NAME.fullmatch(name) or len(name) > MAX_PIPELINE_NAME_LENGTH:
        raise usage_error(
            f"{name!r} cannot name a pipeline.",
            f"Use at most {MAX_PIPELINE_NAME_LENGTH} lower-case letters, digits and single hyphens, "
            "beginning with a letter and not sg.",
        )
    if settings.warehouse.node_type.startswith("dc2."):
        raise usage_error(
            f"Redshift no longer creates {settings.warehouse.node_type} clusters: AWS ended the dc2 nodes.",
            "Set warehouse.node_type to rg.large or ra3.large.",
        )
    if settings.analytics.runtime == "SQL-1_0":
        raise usage_error(
            "Kinesis Data Analytics for SQL (SQL-1_0) is gone: AWS deleted its applications from 2026-01-27.",
            "Set analytics.runtime to FLINK-2_3; the rules in sql/rules are Flink SQL.",
        )
    for section, age in (
        ("loader", settings.loader.maximum_record_age_seconds),
        ("notifier", settings.notifier.maximum_record_age_seconds),
    ):
        if age >= settings.stream.retention_hours * 3600:
            raise usage_error(
                f"{section}.maximum_record_age_seconds ({age}) reaches the stream's retention "
                f"({settings.stream.retention_hours} h): a record could expire before it is put into the "
                "on-failure bucket.",
                f"Lower {section}.maximum_record_age_seconds or raise stream.retention_hours.",
            )
    return settings
