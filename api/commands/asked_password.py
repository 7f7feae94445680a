"""Passwords on the terminal: asked for twice and not shown, or read from stdin; never an argument that others see."""

from __future__ import annotations

import sys

import typer

from labsys.core.errors import InputError


def ask_password() -> str:
    """A password; whether it is good enough is for whoever takes it (InputError where a person gave none)."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    if not password:
        raise InputError("no password was given")
    return password
