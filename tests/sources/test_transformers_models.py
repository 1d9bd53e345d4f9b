"""transformers' models from a folder with a config.json."""

import json

import pytest

from vramcast.errors import InvalidFileError, UnknownNameError
from vramcast.sources import registry
from vramcast.sources.building import on_meta
from vramcast.sources.transformers import Transformers

BERT = {"model_type": "bert", "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128}
LLAMA = {
    "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128,
    "max_position_embeddings": 4096, "dtype": "bfloat16",
}  # fmt: skip
GPT2 = {"model_type": "gpt2", "n_layer": 2, "n_embd": 64, "n_head": 4, "n_positions": 256}
VIT = {"model_type": "vit", "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128, "image_size": 96}


@pytest.fixture
def folder(tmp_path):
    def write(settings):
        (tmp_path / "config.json").write_text(json.dumps(settings) if isinstance(settings, dict) else settings)
        return str(tmp_path)

    return write


@pytest.mark.parametrize(
    ("settings", "architecture", "task", "sequence", "longest", "image"),
    [
        (BERT, "BertForMaskedLM", "masked-lm", 512, 512, None),
        (BERT, "BertForSequenceClassification", "classify", 512, 512, None),
        (BERT, "BertForQuestionAnswering", "generic", 512, 512, None),
        (BERT, None, "encode", 512, 512, None),
        (LLAMA, "LlamaForCausalLM", "causal-lm", 512, 4096, None),
        (GPT2, "GPT2LMHeadModel", "causal-lm", 256, 256, None),
        ({**LLAMA, "model_type": "gemma3_text"}, "Gemma3ForCausalLM", "causal-lm", 512, 4096, None),
        ({"model_type": "t5", "num_layers": 1}, "T5ForConditionalGeneration", "seq2seq-lm", 512, None, None),
        (VIT, "ViTForImageClassification", "classify", None, None, (96, 96)),
        ({"model_type": "resnet"}, "ResNetForImageClassification", "classify", None, None, (224, 224)),
        ({"model_type": "clip"}, "CLIPModel", "generic", None, None, None),
    ],
)
def test_a_configuration_is_described_and_builds_on_meta(folder, settings, architecture, task, sequence, longest, image):
    model = registry.find(folder(settings | ({"architectures": [architecture]} if architecture else {})))
    assert (model.source, model.task, model.sequence, model.max_sequence, model.image) == ("transformers", task, sequence, longest, image)
    with on_meta():
        module = model.build(None)
    assert type(module).__name__ == (architecture or "BertModel")
    assert all(tensor.is_meta for tensor in [*module.parameters(), *module.buffers()])
    assert module.dtype.itemsize == 4  # the workload says the precision, not the configuration


def test_the_image_size_is_fixed_by_position_embeddings_only(folder):
    assert Transformers().load(folder(VIT | {"architectures": ["ViTModel"]})).fixed_image
    assert not Transformers().load(folder({"model_type": "resnet"})).fixed_image


def test_a_known_count(folder):
    settings = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}
    with on_meta():
        module = Transformers().load(folder(settings)).build(None)
    assert sum(parameter.numel() for parameter in module.parameters()) == 124_439_808


def test_the_number_of_classes_reaches_the_head_and_leaves_the_configuration(folder):
    model = Transformers().load(folder(BERT | {"architectures": ["BertForSequenceClassification"]}))
    with on_meta():
        assert model.build(7).classifier.out_features == 7
        assert model.build(None).classifier.out_features == model.classes == 2


def test_code_of_its_own_is_refused(folder):
    with pytest.raises(InvalidFileError, match=r"code of its own .*which is not run"):
        Transformers().load(folder(BERT | {"auto_map": {"AutoModel": "modeling_own.OwnModel"}}))


def test_an_unknown_model_type_is_answered_with_the_closest(folder):
    with pytest.raises(UnknownNameError) as caught:
        Transformers().load(folder({"model_type": "lama"}))
    assert "llama" in caught.value.closest


def test_a_name_that_does_not_come_along_is_answered_with_those_that_do():
    with pytest.raises(UnknownNameError, match=r"folder that holds a config\.json") as caught:
        Transformers().load("llama-2-7")
    assert "llama-2-7b" in caught.value.closest


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{not json", "cannot be read as JSON"),
        ({"hidden_size": 3}, "names no model_type"),
        (BERT | {"architectures": ["NoSuchBert"]}, "'NoSuchBert', which the installed transformers does not have"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(folder, settings, message):
    with pytest.raises(InvalidFileError, match=message):
        Transformers().load(folder(settings))


def test_a_folder_without_configuration_is_refused(tmp_path):
    with pytest.raises(InvalidFileError, match=r"config\.json"):
        Transformers().load(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "parameters", "window"),
    [
        ("llama-2-7b", 6_738_415_616, None),
        ("mistral-7b-v0.1", 7_241_732_096, 4096),
    ],
)
def test_configurations_that_come_along_have_their_published_size(name, parameters, window):
    assert name in Transformers().names()
    model = registry.find(f"transformers:{name}")
    with on_meta():
        module = model.build(None)
    assert sum(parameter.numel() for parameter in module.parameters()) == parameters
    assert model.window == window
