"""Which messages a run sends, and under which ids."""

from pathlib import Path

from feedback_worker._feeder import Account, messages_of


def test_each_text_is_sent_once_under_an_id_of_its_own_also_when_two_are_equal() -> None:
    assert list(messages_of("run", ["a", "a"], None)) == [("run-000001", "a"), ("run-000002", "a")]


def test_a_number_of_messages_starts_over_at_the_end_of_the_input() -> None:
    messages = list(messages_of("run", ["a", "b"], 5))

    assert [text for _, text in messages] == ["a", "b", "a", "b", "a"]
    assert len({message_id for message_id, _ in messages}) == 5


def test_ids_are_on_disk_as_soon_as_they_are_written_down(tmp_path: Path) -> None:
    with Account(tmp_path / "ids") as account:
        account.write(["a", "b"])

        assert (tmp_path / "ids").read_text().split() == ["a", "b"]
