# Runs Prefect's engine for one flow run, in this process: what `prefect flow-run execute` does with three of them.
# What that command's runner is for, the worker does: exit codes, the log of what is printed, and cancelling, for which
# it sends CANCEL. The engine is told through its own control channel (prefect/_internal/control_listener.py, 3.8 and
# 3.9) that the SIGTERM behind it means "cancelled", so that the flow's `finally` runs and no crash is reported.
# Whatever is not as it was there is left to `prefect flow-run execute`.
import os
import secrets
import shutil
import signal
import socket
import sys
import threading

CANCEL = 39  # a real-time signal that nothing else uses; SIGRTMIN+5 with glibc
ACKNOWLEDGE_SECONDS = 5


def hand_over():
    signal.signal(CANCEL, signal.SIG_IGN)  # the runner hears of a cancellation from the plane
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {CANCEL})
    os.environ.pop("PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS", None)
    if "prefect.flow_engine" in sys.modules or shutil.which("prefect") is None:
        # This interpreter's own, which need not be on the PATH.
        os.execv(sys.executable, [sys.executable, "-m", "prefect", "flow-run", "execute"])
    os.execvp("prefect", ["prefect", "flow-run", "execute"])


def read_token(connection):
    line = b""
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte:
            return b""
        line += byte
    return line.strip()


class Channel:
    def __init__(self):
        self.engine = None
        self.token = secrets.token_hex(16)
        self.server = socket.create_server(("127.0.0.1", 0))
        os.environ["PREFECT__CONTROL_PORT"] = str(self.server.getsockname()[1])
        os.environ["PREFECT__CONTROL_TOKEN"] = self.token
        # The state after a cancellation is the worker's to report, as it is the runner's there.
        os.environ["PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS"] = "false"
        for target in (self.accept, self.wait_for_cancel):
            threading.Thread(target=target, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.server.accept()
            if read_token(connection) == self.token.encode():
                from prefect._internal.attempt_control import encode_negotiation

                # Version 2, no receipts: without an answer the engine would wait a second for one at its end.
                connection.sendall(encode_negotiation(2, 0))
                self.engine = connection

    def wait_for_cancel(self):
        signal.sigwait({CANCEL})
        if self.engine is None:
            os._exit(0)  # no flow has begun
        self.engine.settimeout(ACKNOWLEDGE_SECONDS)
        try:
            self.engine.sendall(b"c")
            while self.engine.recv(1) not in (b"a", b""):
                pass  # what the engine had sent before
        except OSError:
            pass
        os.kill(os.getpid(), signal.SIGTERM)


def retry_first_connections():
    """A relay that was killed is back within a second. A client of Prefect's waits for that only if it knew it before."""
    from prefect.client import base

    def connected_before(make):
        def init(self, *args, **kwargs):
            make(self, *args, **kwargs)
            self._has_connected = True

        return init

    for client in (base.PrefectHttpxAsyncClient, base.PrefectHttpxSyncClient):
        client.__init__ = connected_before(client.__init__)


def main():
    try:
        # Blocked before any thread is made: threads inherit it, and only the one that waits gets the signal.
        signal.pthread_sigmask(signal.SIG_BLOCK, {CANCEL})
        Channel()
        import prefect.flow_engine as flow_engine
        from prefect.logging.handlers import APILogHandler

        load_flow = flow_engine.load_flow
        if os.environ.get("PREFECT_API_AUTH_STRING", "").startswith("run:"):
            retry_first_connections()
    except Exception:
        hand_over()

    def load_flow_without_hooks(flow_run):
        flow = load_flow(flow_run)
        if flow.on_cancellation_hooks or flow.on_crashed_hooks:
            # They are the runner's: it lives on when the engine is killed.
            APILogHandler().flush()
            sys.stdout.flush()
            hand_over()
        return flow

    flow_engine.load_flow = load_flow_without_hooks
    import runpy
    import warnings

    # That the package has loaded its engine already is no news for the run's log.
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="runpy")
    sys.argv = ["prefect.engine"]
    runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)


main()
