"""SIGTERM does what Ctrl-C does, once per request, and nothing is left changed."""

import signal
from collections.abc import Iterator

import pytest

import cli
from data import interrupt as module
from data.interrupt import Interrupts, Termination


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_sigterm_interrupts_as_ctrl_c_and_the_handler_is_restored() -> None:
    with Termination() as termination, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    assert termination.received
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_ctrl_c_is_no_sigterm() -> None:
    with Termination() as termination, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert not termination.received


def test_sigterm_lets_an_embed_finish_its_batch_also_if_it_is_sent_twice_at_once() -> None:
    with Termination(), Interrupts(lambda: None) as interrupts:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    assert (interrupts.requested, interrupts.forced) == (True, False)


def test_a_second_sigterm_later_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REPEAT_SECONDS", 0.0)
    with Termination(), Interrupts(lambda: None) as interrupts:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert interrupts.forced


def test_sigterm_interrupts_a_background_job_whose_shell_ignores_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Termination(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)


def test_a_program_keeps_its_own_handler() -> None:
    received: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    with Termination() as termination:
        signal.raise_signal(signal.SIGTERM)
    assert (received, termination.received) == ([signal.SIGTERM], False)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_command_has_the_exit_code_of_the_signal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: signal.Signals, code: int
) -> None:
    monkeypatch.setattr(cli.embedonce, "main", lambda **_: signal.raise_signal(number))
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == code and capsys.readouterr().err.startswith("Interrupted. Finished shards,")
