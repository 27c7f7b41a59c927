"""A chat becomes what transformers' `apply_chat_template` makes of it, letter by letter and id by id, and answers are found in it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from search_space.architecture import Architecture
from search_space.errors import SpecError
from trials.corpus.tokenizer import END_OF_TEXT, train_tokenizer
from trials.formats.gguf_tokenizer import LLAMA_3
from trials.models.loaded_model import LoadedModel
from trials.network.decoder import Network
from trials.tuning.chat import Chat, Message, read_chats
from trials.tuning.chat_template import CHAT_TEMPLATE
from trials.tuning.examples import ChatCoder, chat_coder, examples_of

SHAPE = Architecture(
    vocab_size=400, hidden_size=16, num_unique_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=8, intermediate_size=16
)
TEXT = ['user: call get_weather assistant: the tool says {"city": "Oslo"} in the kitchen at 12:30 for 15 minutes\n' * 20] * 20
CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
OWN_ENDING = (
    "{% for message in messages %}[{{ message.role }}] {{ message.content }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)
REFUSING = (
    "{% for message in messages %}{% if message.role == 'tool' %}{{ raise_exception('no tools') }}{% endif %}"
    "{{ message.content }}{% endfor %}"
)
FORGETFUL = "{{ messages[-1].role }}: {{ messages[-1].content }}"


def tokenizer_of(kind: str, folder: Path) -> Tokenizer:
    """A byte-level BPE that splits text as GPT-2 or as Llama 3 does, or knows bytes alone."""
    file = folder / "tokenizer.json"
    train_tokenizer(TEXT, 257 if kind == "bytes" else 310, file)
    found = Tokenizer.from_file(str(file))
    if kind == "llama 3":
        from tokenizers import Regex

        split = pre_tokenizers.Split(Regex(LLAMA_3), "isolated")
        found.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    found.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    return found


def model_with(tokenizer: Tokenizer, template: str | None = None, end: str = END_OF_TEXT) -> LoadedModel:
    id_ = int(tokenizer.token_to_id(end) or 0)
    return LoadedModel("a model", Network(SHAPE), tokenizer, id_, (id_,), 2048, "float32", template)


@pytest.fixture(scope="module", params=["gpt-2", "llama 3", "bytes"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[ChatCoder, PreTrainedTokenizerFast]:
    tokenizer = tokenizer_of(request.param, tmp_path_factory.mktemp("tokenizer"))
    theirs = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END_OF_TEXT, bos_token=END_OF_TEXT, chat_template=CHAT_TEMPLATE)
    return chat_coder(model_with(tokenizer)), theirs


letters = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(" \n\t:{}'\"é日"), max_size=30).filter(
    lambda text: "<|" not in text
)
calls = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.just("1"),
            "type": st.just("function"),
            "function": st.fixed_dictionaries(
                {
                    "name": st.sampled_from(["find", "get_weather"]),
                    "arguments": st.dictionaries(letters, letters | st.integers() | st.booleans(), max_size=2)
                    | st.dictionaries(st.just("a"), letters, max_size=1).map(json.dumps),
                }
            ),
        }
    ),
    max_size=2,
)
turns = st.one_of(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "developer", "user", "tool"]), "content": letters}),
    st.fixed_dictionaries(
        {"role": st.just("user"), "content": st.lists(letters.map(lambda text: {"type": "text", "text": text}), max_size=2)}
    ),
    st.fixed_dictionaries({"role": st.just("assistant"), "content": letters, "tool_calls": calls, "weight": st.sampled_from([0, 1])}),
    st.fixed_dictionaries({"role": st.just("assistant"), "content": letters}),
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.lists(turns, max_size=4), tools=st.lists(st.dictionaries(letters, letters, max_size=2), max_size=1))
def test_any_chat_has_the_ids_that_transformers_gives_it(
    before: list[dict[str, Any]], tools: list[dict[str, Any]], pair: tuple[ChatCoder, PreTrainedTokenizerFast], tmp_path: Path
) -> None:
    coder, theirs = pair
    messages = [*before, {"role": "assistant", "content": "yes"}]
    (tmp_path / "chats.jsonl").write_text(json.dumps({"messages": messages, "tools": tools}))
    [chat] = read_chats(tmp_path / "chats.jsonl")
    example = coder.example(chat)
    assert list(example.ids) == theirs.apply_chat_template(messages, tools=tools or None, return_dict=False)
    for place in filter(None, chat.answers()):  # transformers begins no answer to nothing
        prompt = theirs.apply_chat_template(messages[:place], tools=tools or None, add_generation_prompt=True, return_dict=False)
        assert coder.ids(coder.format.prompt(chat, place)) == prompt
        assert list(example.ids[: len(prompt)]) == prompt, "training and use have the same ids before an answer"
        assert example.learned[len(prompt)]
        assert not example.learned[len(prompt) - 1]
    learned = [id_ for id_, is_learned in zip(example.ids, example.learned, strict=True) if is_learned]
    said = coder.tokenizer.decode(learned, skip_special_tokens=False)
    assert said == "".join(f"{chat.messages[place].text}{END_OF_TEXT}" for place in chat.answers())


@pytest.mark.parametrize("end", ["<|im_end|>", END_OF_TEXT])
def test_a_models_own_template_is_kept_and_its_answers_end_as_it_ends_them(end: str, tmp_path: Path) -> None:
    template = CHATML if end == "<|im_end|>" else OWN_ENDING
    tokenizer = tokenizer_of("gpt-2", tmp_path)
    coder = chat_coder(model_with(tokenizer, template, end))
    theirs = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=end, chat_template=template)
    chat = Chat(
        (
            Message("system", "Be brief."),
            Message("user", "What is it?"),
            Message("assistant", " It is 3.\n"),
            Message("user", "And now?"),
            Message("assistant", "", ({"function": {"name": "find", "arguments": {"a": 1}}},)),
        )
    )
    example = coder.example(chat)
    assert list(example.ids) == theirs.apply_chat_template([each.as_dict() for each in chat.messages], return_dict=False)
    learned = [id_ for id_, is_learned in zip(example.ids, example.learned, strict=True) if is_learned]
    said = tokenizer.decode(learned, skip_special_tokens=False)
    assert said.replace(" It", "It").replace(" call", "call") == f'It is 3.{end}call: find {{"a": 1}}{end}', (
        "a letter is in a space's token"
    )
    assert coder.end_ids([example]) == (tokenizer.token_to_id(end),)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (REFUSING, "the model's chat template must take these messages, found: no tools"),
        (FORGETFUL, "must write each answer behind its prompt"),
        ("{% for", "the model's chat template must be Jinja"),
        ("{{ 1 // 0 }}", "the model's chat template must take these messages"),
        ("{{ 10.0 ** 1000 }}", "the model's chat template must take these messages"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "the model's chat template must take these messages"),
        (f"{{{{ {'(' * 5000}1{')' * 5000} }}}}", "the model's chat template must be Jinja"),
        ("{{ ''.__class__.__mro__ }}", "the model's chat template must take these messages"),
    ],
)
def test_a_template_that_cannot_be_used_is_one_sentence_with_the_cure(template: str, said: str, tmp_path: Path) -> None:
    coder = chat_coder(model_with(tokenizer_of("gpt-2", tmp_path), template))
    chat = Chat((Message("user", "a"), Message("tool", "b"), Message("assistant", "c")), where="chats.jsonl, line 4")
    with pytest.raises(SpecError) as refused:
        coder.example(chat)
    assert str(refused.value).startswith("chats.jsonl, line 4: ")
    assert said in str(refused.value)
    assert "take chat_template out" in str(refused.value)


def test_a_text_that_spells_a_special_token_is_refused_with_its_place(tmp_path: Path) -> None:
    coder = chat_coder(model_with(tokenizer_of("gpt-2", tmp_path)))
    chat = Chat((Message("user", f"what is {END_OF_TEXT}?"), Message("assistant", "an end")), where="chats.jsonl, line 2")
    with pytest.raises(SpecError, match=r"chats.jsonl, line 2, message 1 must not spell the special token"):
        coder.example(chat)


@pytest.mark.parametrize("arguments", [{"a": END_OF_TEXT}, f'{{"a": "{END_OF_TEXT}"}}', {END_OF_TEXT: 1}])
def test_calls_and_descriptions_of_tools_spell_no_special_token_either(arguments: str | dict[str, Any], tmp_path: Path) -> None:
    coder = chat_coder(model_with(tokenizer_of("gpt-2", tmp_path)))
    called = Chat((Message("assistant", "", ({"function": {"name": "f", "arguments": arguments}},)),), where="line 1")
    with pytest.raises(SpecError, match="line 1, message 1 must not spell the special token"):
        coder.example(called)
    described = Chat((Message("user", "a"), Message("assistant", "b")), ({"function": {"description": [END_OF_TEXT]}},), "line 2")
    with pytest.raises(SpecError, match="line 2, tools must not spell the special token"):
        coder.example(described)


GENERATION = (
    "{% for message in messages %}{{ message.role }}: {% if message.role == 'assistant' %}{% generation %}{{ message.content }}"
    "{{ eos_token }}{% endgeneration %}{% else %}{{ message.content }}{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
DATED = "{{ strftime_now('%Y') }}\n" + GENERATION


@pytest.mark.parametrize("template", [GENERATION, DATED], ids=["generation", "strftime_now"])
def test_what_transformers_gives_a_template_is_there(template: str, tmp_path: Path) -> None:
    tokenizer = tokenizer_of("gpt-2", tmp_path)
    theirs = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END_OF_TEXT, chat_template=template)
    chat = Chat((Message("user", "a"), Message("assistant", "b"), Message("user", "c"), Message("assistant", "d")))
    example = chat_coder(model_with(tokenizer, template)).example(chat)
    assert list(example.ids) == theirs.apply_chat_template([each.as_dict() for each in chat.messages], return_dict=False)


def test_the_names_that_a_models_own_files_have_stand_in_its_chats(tmp_path: Path) -> None:
    model = replace(model_with(tokenizer_of("gpt-2", tmp_path)), bos_token="", eos_token="<|im_end|>")
    found = chat_coder(model).format
    assert (found.bos_token, found.eos_token) == ("", "<|im_end|>")


def test_chats_longer_than_the_context_are_left_out_and_none_that_fits_is_refused(tmp_path: Path) -> None:
    coder = chat_coder(model_with(tokenizer_of("bytes", tmp_path)))
    short, long = (Chat((Message("user", "a" * count), Message("assistant", "b"))) for count in (5, 500))
    examples, kept = examples_of(coder, [long, short], 100)
    assert (len(examples), kept) == (1, [short])
    with pytest.raises(SpecError, match=r"a chat must have at most 10 tokens, .* found none of 2 so short \(the longest has 5"):
        examples_of(coder, [long, short], 10)


def test_no_token_that_no_training_has_seen_stands_in_a_chat(tmp_path: Path) -> None:
    """Roles are words: of special tokens only the end of a text is there, which every document has."""
    coder = chat_coder(model_with(tokenizer_of("gpt-2", tmp_path)))
    example = coder.example(Chat((Message("system", "a"), Message("user", "b"), Message("assistant", "c"))))
    special = {coder.tokenizer.token_to_id(name) for name in coder.special}
    assert [id_ for id_ in example.ids if id_ in special] == [coder.tokenizer.token_to_id(END_OF_TEXT)]
    assert torch.tensor(example.ids)[0] not in special
