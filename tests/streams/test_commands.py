"""Work handed to the thread that owns the consumer is always answered, whoever gives up."""

from __future__ import annotations

from concurrent.futures import CancelledError, Future

import pytest

from streams.transport.commands import Commands


def test_work_runs_when_the_owner_gets_to_it():
    commands = Commands()
    answer = commands.call(lambda: 42)
    assert not answer.done()
    commands.run_all()
    assert answer.result(0) == 42


def test_work_whose_caller_was_cancelled_is_skipped():
    commands, ran = Commands(), []
    cancelled = commands.call(lambda: ran.append(1))
    after = commands.call(lambda: ran.append(2))
    assert cancelled.cancel()
    commands.run_all()
    assert ran == [2]
    assert after.done()
    with pytest.raises(CancelledError):
        cancelled.result(0)


def test_a_caller_cannot_give_up_work_that_is_answered_later():
    commands, waiting = Commands(), []

    def later(future: Future[int]) -> None:
        waiting.append(future)

    answer: Future[int] = commands.answer(later)
    commands.run_all()
    assert not answer.cancel()
    waiting[0].set_result(7)
    assert answer.result(0) == 7


def test_closing_answers_what_waits_and_what_comes_after():
    commands = Commands()
    waits, gone = commands.call(lambda: 1), commands.call(lambda: 2)
    gone.cancel()
    commands.close()
    for answer in (waits, commands.call(lambda: 3)):
        with pytest.raises(RuntimeError, match="found it closed"):
            answer.result(0)
