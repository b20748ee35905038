from tests.support.searched_samples import prompts, sample, samples
from train.export.forms.chat import DATASET_INFO, chat_records


def test_a_conversation_is_the_question_and_the_kept_chain() -> None:
    (record,) = chat_records([sample()], prompts())
    user, assistant = record["messages"]
    assert (user["role"], assistant["role"]) == ("user", "assistant")
    assert user["content"] == f"<image><image>{sample().prompt}"
    assert assistant["content"] == sample().completion
    assert record["images"] == list(sample().images)


def test_placeholders_are_as_many_as_pictures() -> None:
    records = list(chat_records(samples(), prompts()))
    assert [record["id"] for record in records] == [one.id for one in samples()]
    assert {len(record["images"]) for record in records} >= {0, 2}
    for record in records:
        assert record["messages"][0]["content"].count("<image>") == len(record["images"])


def test_the_description_for_llama_factory_names_what_is_there() -> None:
    (record,) = chat_records([sample()], prompts())
    (entry,) = DATASET_INFO.values()
    assert set(entry["columns"].values()) <= set(record)
    tags = entry["tags"]
    assert [set(message) for message in record["messages"]] == [{tags["role_tag"], tags["content_tag"]}] * 2
    assert [message["role"] for message in record["messages"]] == [tags["user_tag"], tags["assistant_tag"]]
