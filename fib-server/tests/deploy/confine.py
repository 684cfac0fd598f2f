"""Runs a program under the system call filter of a systemd unit, without systemd: UNIT PROGRAM ARG...

The sets of system calls are those that systemd-analyze tells of. What is not allowed kills, so a
test cannot miss it.
"""

import os
import socket
import subprocess
import sys

import pyseccomp


def settings(unit, name):
    """The values of a setting that may stand in a unit more than once."""
    lines = (line.strip() for line in open(unit))
    return [line.removeprefix(name + "=") for line in lines if line.startswith(name + "=")]


def sets():
    """The sets of system calls that systemd knows, each a list of calls and of other sets."""
    command = ["systemd-analyze", "--no-pager", "syscall-filter"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result = {}
    for line in told.splitlines():
        if line.startswith("@"):
            members = result.setdefault(line, [])
        elif line.startswith("    ") and not line.strip().startswith("#"):
            members.append(line.strip())
    return result


def allowed(unit):
    """What remains when each line has added or, with a tilde, removed its calls."""
    known = sets()

    def calls(word):
        members = known[word] if word.startswith("@") else []
        return {call for member in members for call in calls(member)} if members else {word}

    result = calls("@default")
    for line in settings(unit, "SystemCallFilter"):
        named = {call for word in line.removeprefix("~").split() for call in calls(word)}
        result = result - named if line.startswith("~") else result | named
    return result


def confine(unit):
    sieve = pyseccomp.SyscallFilter(pyseccomp.KILL_PROCESS)
    for call in allowed(unit) - {"socket"}:
        try:
            sieve.add_rule(pyseccomp.ALLOW, call)
        except OSError:
            pass  # this architecture has no such call
    for families in settings(unit, "RestrictAddressFamilies"):
        for family in families.split():
            number = int(getattr(socket, family))
            sieve.add_rule(pyseccomp.ALLOW, "socket", pyseccomp.Arg(0, pyseccomp.EQ, number))
    sieve.load()


unit, *program = sys.argv[1:]
confine(unit)
os.execv(program[0], program)
