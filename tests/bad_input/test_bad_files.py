"""Files that are absent, broken or not what they should be, and paths that cannot be written."""

from __future__ import annotations

import json
import os
import pickle

import pytest

import vramcast
from vramcast.cli.main import main

INPUT = ("--input", "input=4x8")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("syntax.py", "x = (\n", "{folder}/syntax.py cannot be imported: SyntaxError: '(' was never closed (syntax.py, line 1)"),
        (
            "absent.py",
            "import os\nimport no_such_package\n",
            "{folder}/absent.py cannot be imported: ModuleNotFoundError: No module named 'no_such_package' ({folder}/absent.py, line 2)",
        ),
        ("exits.py", "import sys\nsys.exit(0)\n", "{folder}/exits.py cannot be imported: SystemExit: 0 ({folder}/exits.py, line 2)"),
        (
            "raises.py",
            "import json\njson.loads('{')\n",
            "{folder}/raises.py cannot be imported: JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1) ",
        ),
        ("empty.py", "", "no callable in empty.py is called 'build'."),
        ("other.py", "def builds():\n    pass\n", "no callable in other.py is called 'build'. Closest: builds."),
    ],
)
def test_a_python_file_that_gives_no_builder_is_refused(refused, here, name, content, told):
    (here / name).write_text(content)
    code, message = refused("estimate", f"{name}:build", *INPUT)
    assert code == 2
    assert message.startswith(told.format(folder=here))


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("missing.py:build", "there is no Python file {folder}/missing.py."),
        ("missing.py", "'missing.py' names no callable in a Python file; write path/to/file.py:build, where build() returns an nn.Module."),
        ("missing.py:", "'missing.py:' names no callable; write path/to/file.py:function or package.module:function."),
        ("json.missing:build", "the module json.missing cannot be imported: ModuleNotFoundError: No module named 'json.missing'"),
        ("json:dumsp", "no callable in json is called 'dumsp'. Closest: dump, dumps."),
        ("./missing", "there is no file or folder missing; a model can be a folder with a config.json, or path/to/file.py:build."),
        ("transformers:nothing/here", "there is no file nothing/here; name a folder that holds a config.json."),
    ],
)
def test_a_file_or_module_that_is_not_there_is_refused(refused, here, model, told):
    assert refused("estimate", model, *INPUT) == (2, told.format(folder=here))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "there is no file net/config.json; name a folder that holds a config.json."),
        ('{"model_type": ', "net/config.json cannot be read as JSON: Expecting value: line 1 column 16 (char 15)"),
        ("[1, 2]", "net/config.json is not a transformers configuration: it names no model_type."),
        (
            json.dumps({"model_type": "gpt2", "auto_map": {"AutoModel": "code.Net", "AutoConfig": "code.Config"}}),
            "net/config.json asks for code of its own (AutoConfig, AutoModel), which is not run. "
            "Build the model in a Python file and name that: path/to/file.py:build.",
        ),
        (
            json.dumps({"model_type": "gpt2", "architectures": ["NoSuchModel"]}),
            "net/config.json names the architecture 'NoSuchModel', which the installed transformers does not have. Install a version that has it.",
        ),
    ],
)
def test_a_folder_without_a_usable_configuration_is_refused(refused, here, content, told):
    (here / "net").mkdir()
    if content is not None:
        (here / "net" / "config.json").write_text(content)
    assert refused("estimate", "./net") == (2, told)


def test_an_unknown_model_type_is_answered_with_the_closest(refused, here):
    (here / "config.json").write_text('{"model_type": "gtp2"}')
    code, message = refused("estimate", "./")
    assert code == 2
    assert message.startswith("no transformers model type is called 'gtp2'. Closest: gpt2, ")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("bacth = 3\n", "no workload field is called 'bacth'. Closest: batch, backend."),
        ('batch = "many"\n', "batch is 'many'; it must be a whole number."),
        ("batch = 3.5\n", "batch is 3.5; it must be a whole number."),
        ("batch = 0\n", "batch is 0; it must be at least 1 and at most 1,000,000,000,000."),
        ('image = "640"\n', "image is '640'; it must be a list [a whole number, a whole number]."),
        ("image = true\n", "image is True; it must be a list [a whole number, a whole number]."),
        ('image = [3, "x"]\n', "image[1] is 'x'; it must be a whole number."),
        ('clip_grad = "yes"\n', "clip_grad is 'yes'; it must be true or false."),
        ('freeze = "stem"\n', "freeze is 'stem'; it must be a list, each item a text."),
        ('ema = "card"\n', "ema is 'card'; it must be one of cpu, gpu, off."),
        ('inputs = "x=2x3"\n', "inputs is 'x=2x3'; it must be a list, each item a table with the fields name, shape, dtype."),
        ("inputs = [3]\n", "inputs[0] is 3; it must be a table with the fields name, shape, dtype."),
        ('inputs = [{ name = "x" }]\n', "inputs[0] has no shape, which must be given."),
        ("validation = 3\n", "validation is 3; it must be a table with the fields batch, precision, image, uses_ema."),
        ("[validation]\nbacth = 3\n", "no field of validation is called 'bacth'. Closest: batch, image, precision, uses_ema."),
        ('[validation]\nprecision = "fp32"\n', "validation has no batch, which must be given."),
        ('[habits]\nepoch = "never"\n', "habits.epoch is 'never'; it must be one of function, loop."),
        (
            'precision = "fp8"\n',
            "no precision is called 'fp8'. Closest: amp-bf16, amp-fp16, bf16, fp16, fp32, tf32. Legal: fp32, tf32, fp16, bf16, amp-fp16, amp-bf16.",
        ),
        (
            "preset = 3\n",
            "no preset is called '3'. Closest: timm, torchvision-reference, torchvision-reference-detection, transformers-4.35, "
            "ultralytics, ultralytics-8.3. "
            "Legal: ultralytics, ultralytics-8.3, timm, torchvision-reference, torchvision-reference-detection, transformers-4.35.",
        ),
        (
            "mode = 'train'\nbatch = = 3\n",
            "workload file 'run.toml' is not valid TOML: Invalid value (at line 2, column 9). One field per line, such as: batch = 64",
        ),
    ],
)
def test_a_workload_file_is_refused_with_the_field_the_value_and_what_is_legal(refused, here, content, told):
    (here / "run.toml").write_text(content)
    assert refused("estimate", "torchvision:resnet18", "--workload", "run.toml") == (2, told)


def test_a_workload_file_that_cannot_be_read_is_refused(refused, here):
    assert refused("estimate", "resnet18", "--workload", "run.toml") == (2, "workload file 'run.toml' cannot be read: No such file or directory.")
    (here / "run.toml").mkdir()
    assert refused("estimate", "resnet18", "--workload", "run.toml") == (2, "workload file 'run.toml' cannot be read: Is a directory.")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads and writes everything")
def test_files_that_permissions_protect_are_refused(refused, here):
    (here / "run.toml").touch(mode=0o000)
    assert refused("estimate", "resnet18", "--workload", "run.toml") == (2, "workload file 'run.toml' cannot be read: Permission denied.")
    (here / "answer.json").touch(mode=0o400)
    assert refused("estimate", "resnet18", "-o", "answer.json") == (2, "cannot write 'answer.json': the file is write-protected.")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("missing/answer.json", "cannot write 'missing/answer.json': there is no folder '{folder}/missing'. Make it first."),
        ("folder", "cannot write 'folder': it is a folder. Name a file in it."),
        ("folder.json", "cannot write 'folder.json': it is a folder. Name a file in it."),
        ("file/answer.json", "cannot write 'file/answer.json': there is no folder '{folder}/file'. Make it first."),
    ],
)
def test_a_path_that_cannot_be_written_is_refused_before_anything_else(refused, here, path, told):
    (here / "folder").mkdir()
    (here / "folder.json").mkdir()
    (here / "file").touch()
    before = sorted(here.rglob("*"))
    assert refused("estimate", "no such model", "-o", path) == (2, told.format(folder=here))
    assert sorted(here.rglob("*")) == before


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="no devices in the file system")
def test_a_device_is_no_file_to_replace(refused):
    assert refused("estimate", "no such model", "-o", "/dev/null") == (
        2,
        "cannot write '/dev/null': it is not a regular file. Leave out the path to write to standard output.",
    )


def test_a_file_that_cannot_be_written_in_the_end_leaves_the_old_one(refused, here, monkeypatch):
    (here / "answer.json").write_text("old")

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert refused("estimate", "params:1M", "-o", "answer.json") == (
        2,
        "cannot write 'answer.json': No space left on device. Choose a path in an existing, writable folder.",
    )
    assert [(path.name, path.read_text()) for path in here.iterdir()] == [("answer.json", "old")]


NO_SNAPSHOT = "'memory.pickle' cannot be read as a memory snapshot: "


def load_refused():
    with pytest.raises(vramcast.UsageError) as caught:
        vramcast.load_snapshot("memory.pickle")
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            b"not a pickle",
            "it has a byte that is no opcode at byte 0; only dicts, lists, texts and numbers are read, and nothing in the file was run.",
        ),
        (pickle.dumps({"segments": []}), "the snapshot is not as PyTorch writes it: Object missing required field `device_traces`."),
        (b"", "it is cut short or damaged: a value is missing. Was it written to the end?"),
    ],
)
def test_a_snapshot_that_is_none_is_refused_with_its_path(here, content, told):
    (here / "memory.pickle").write_bytes(content)
    assert load_refused() == NO_SNAPSHOT + told


def test_a_snapshot_cut_short_is_refused(here):
    assert main(["estimate", "params:1M", "--train", "-o", "memory.pickle"]) == 0
    whole = (here / "memory.pickle").read_bytes()
    (here / "memory.pickle").write_bytes(whole[: len(whole) // 2])
    assert load_refused() == NO_SNAPSHOT + "it is cut short or damaged: a value is missing. Was it written to the end?"
