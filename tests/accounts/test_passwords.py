import asyncio
import time

from argon2 import PasswordHasher

from utcloud.accounts import passwords


async def test_verifies_only_the_right_password() -> None:
    kept = await passwords.hash_password("correct horse battery")
    assert "correct" not in kept
    assert await passwords.verify(kept, "correct horse battery")
    assert not await passwords.verify(kept, "correct horse batterY")
    assert not await passwords.verify("not a hash", "correct horse battery")
    assert not await passwords.verify(None, "correct horse battery")


async def test_hashing_leaves_the_event_loop_free(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(passwords, "hasher", PasswordHasher(time_cost=6, memory_cost=65536, parallelism=1))
    hashing = asyncio.create_task(passwords.hash_password("correct horse battery"))
    longest, before = 0.0, time.perf_counter()
    while not hashing.done():
        await asyncio.sleep(0.001)
        longest, before = max(longest, time.perf_counter() - before), time.perf_counter()
    began = time.perf_counter()
    passwords.hasher.hash("correct horse battery")
    assert longest < (time.perf_counter() - began) / 2


def test_generated_passwords_are_long_and_never_the_same() -> None:
    made = {passwords.generate() for _ in range(1000)}
    assert len(made) == 1000
    assert all(len(password) == 23 for password in made)
