"""The machines that a comparison runs bench32 on: this one, and guests under a monitor.

All keep running side by side and are driven by one command at a time, so that rounds interleave row by row. What is
measured is the CPU time of a whole process, monitor and all its threads, between command and answer, read from its
CPU-time clock. Neither guest clocks nor other programs that share the host's processors can falsify that.
"""
import os
import re
import select
import subprocess
import time

PROMPT = rb"guest# "
READY = rb"bench32 serves"
PANIC = rb"Kernel panic - not syncing[^\r\n]*"


class Failure(Exception):
    """Why a machine has no answer; its text goes into the report."""


class Program:
    """A child process with its output as one growing buffer."""

    def __init__(self, arguments, log):
        self.log = log
        self.output = b""
        # A child that is killed early, or reads its end, must not take the terminal along.
        self.child = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, bufsize=0)
        self.clock = (~self.child.pid << 3) | 2  # the kernel's name for another process's CPU-time clock

    def cpu_seconds(self):
        try:
            return time.clock_gettime(self.clock)
        except OSError:
            raise Failure(self.last_words()) from None

    def last_words(self):
        status = self.child.wait()
        line = self.output.decode(errors="replace").strip().splitlines()[-1:]
        return f"ended with status {status}" + (f": {line[0][:120]}" if line else "")

    def send(self, text):
        try:
            self.child.stdin.write(text.encode())
        except OSError:
            raise Failure(self.last_words()) from None

    def expect(self, pattern, seconds, unless=None):
        """Waits for a pattern and drops the output up to its end; returns the match."""
        deadline = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.output)
            wrong = None if unless is None else re.search(unless, self.output)
            if wrong and not (found and found.start() < wrong.start()):
                said = self.output[:wrong.end()].decode(errors="replace").splitlines()
                raise Failure("the guest says: " + " / ".join(line.strip() for line in said[-2:]))
            if found:
                self.output = self.output[found.end():]
                return found
            left = deadline - time.monotonic()
            if left <= 0:
                raise Failure(f"no answer in {seconds:.0f} s")
            if not select.select([self.child.stdout], [], [], left)[0]:
                continue
            data = os.read(self.child.stdout.fileno(), 65536)
            if not data:
                raise Failure(self.last_words())
            self.output += data
            self.log.write(data)

    def kill(self):
        self.child.kill()
        self.child.wait()
        self.child.stdin.close()
        self.child.stdout.close()


class Machine:
    """A place where bench32 runs: started when it is needed, and again after a failure."""

    def __init__(self, name, log_folder, seconds):
        self.name = name
        self.seconds = seconds  # until a command counts as failed
        self.log = open(log_folder / f"{name.replace(' ', '-')}.log", "wb", buffering=0)
        self.program = None
        self.command_cost = 0.0
        self.failed_starts = []

    def start(self):
        raise NotImplementedError

    def start_if_possible(self):
        """Starts the machine, with a second try; gives up for good after two failures, for each may take minutes."""
        while self.program is None:
            if len(self.failed_starts) >= 2:
                raise Failure(f"start: {self.failed_starts[-1]}")
            try:
                self.start()
            except Failure as failure:
                self.failed_starts.append(str(failure))

    def ask(self, command, answer):
        """CPU seconds from a command to its answer, and the answer."""
        if self.program is None:
            self.start_if_possible()
            self.command_cost = min(self.ask("ping", rb"pong")[0] for _ in range(5))
        before = self.program.cpu_seconds()
        self.program.send(command + "\n")
        # A prompt means that bench32 died in the guest.
        found = self.program.expect(answer, self.seconds, unless=PANIC + b"|" + PROMPT)
        return self.program.cpu_seconds() - before, found

    def run(self, row, units):
        """Returns CPU seconds, the machine's own nanoseconds, and the checksum."""
        try:
            cpu, found = self.ask(f"run {row} {units}", rb"done %s %d (\d+) ([0-9a-f]{8})" % (row.encode(), units))
        except Failure:
            self.stop()
            raise
        return max(cpu - self.command_cost, 1e-9), int(found[1]), found[2].decode()

    def idle_share(self, seconds):
        """CPU seconds a second that the machine takes when it has nothing to do."""
        if self.program is None:
            self.ask("ping", rb"pong")
        before = self.program.cpu_seconds()
        time.sleep(seconds)
        return (self.program.cpu_seconds() - before) / seconds

    def stop(self):
        if self.program is not None:
            self.program.kill()
            self.program = None


class Native(Machine):
    def __init__(self, bench32, log_folder, seconds):
        super().__init__("native", log_folder, seconds)
        self.bench32 = bench32

    def start(self):
        self.program = Program([str(self.bench32), "serve"], self.log)
        self.program.expect(READY, 10)


class Guest(Machine):
    """A monitor with a Linux guest that has bench32. `boot_arguments` and `firmware_arguments` are whole command
    lines: one boots the kernel with its console on standard input and output, the other starts the firmware without
    a disk and writes the firmware's log to standard output."""

    def __init__(self, name, boot_arguments, firmware_arguments, log_folder, seconds, boot_seconds):
        super().__init__(name, log_folder, seconds)
        self.boot_arguments = boot_arguments
        self.firmware_arguments = firmware_arguments
        self.boot_seconds = boot_seconds

    def boot(self):
        self.program = Program(self.boot_arguments, self.log)
        try:
            self.program.expect(PROMPT, self.boot_seconds, unless=PANIC)
        except Failure:
            self.stop()
            raise

    def start(self):
        self.boot()
        self.program.send("dmesg -n 1; bench32 serve\n")
        try:
            self.program.expect(READY, self.seconds)
        except Failure as failure:
            self.stop()
            raise Failure(f"start of bench32: {failure}") from None

    def boot_cpu_seconds(self):
        """CPU seconds from the start of the monitor to the shell's prompt, in a machine of its own."""
        kept, self.program = self.program, None
        try:
            self.boot()
            return self.program.cpu_seconds()
        finally:
            self.stop()
            self.program = kept

    def firmware_cpu_seconds(self):
        """CPU seconds from the start of the monitor until SeaBIOS finds nothing to boot."""
        program = Program(self.firmware_arguments, self.log)
        try:
            program.expect(rb"No bootable device", self.boot_seconds)
            return program.cpu_seconds()
        finally:
            program.kill()
