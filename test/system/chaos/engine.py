# Speaks to the plane as an engine does, starts in a tenth of a second, and writes down what it was allowed to do:
# the file is the witness of what really ran, whatever plane and workers believe.
import base64
import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

witness, deployment, lines, seconds, gate, end = sys.argv[1:]
run = os.environ["PREFECT__FLOW_RUN_ID"]
url = os.environ["PREFECT_API_URL"] + "/flow_runs/" + run + "/set_state"
auth = base64.b64encode(os.environ.get("PREFECT_API_AUTH_STRING", "").encode()).decode()
headers = {"Content-Type": "application/json", "Authorization": "Basic " + auth}


def note(what):
    line = json.dumps({"run": run, "deployment": deployment, "what": what, "pid": os.getpid(), "at": time.time()})
    descriptor = os.open(witness, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(descriptor, (line + "\n").encode())
    os.close(descriptor)


def propose(kind):
    # One transition. When its answer got lost it is asked for again, and the plane, as Prefect's, answers REJECT with the
    # state that it has: Prefect's engine goes on with that.
    transition = str(uuid.uuid4())
    body = json.dumps({"state": {"type": kind, "state_details": {"transition_id": transition}}}).encode()
    for _ in range(1200):
        try:
            request = urllib.request.Request(url, body, headers)
            answer = json.load(urllib.request.urlopen(request, timeout=10))
            if answer["status"] == "WAIT":  # its time has not come, when the plane's clock was moved back meanwhile
                time.sleep(answer["details"]["delay_seconds"])
                continue
            is_made = answer["state"] is not None and answer["state"]["state_details"]["transition_id"] == transition
            return "ACCEPT" if is_made else answer["status"]
        except urllib.error.HTTPError as error:
            if error.code < 500:
                note("error " + str(error.code))
                os._exit(4)
        except (OSError, http.client.HTTPException, ValueError):
            pass
        time.sleep(0.1)
    note("gave up " + kind)
    os._exit(5)


answer = propose("RUNNING")
if answer != "ACCEPT":
    note("refused " + answer)
    os._exit(0)
note("begin")
for number in range(int(lines)):
    print(f"line {number}", file=sys.stderr if number % 3 == 2 else sys.stdout, flush=True)
    time.sleep(float(seconds) / int(lines))
while gate != "-" and not Path(gate).exists():
    time.sleep(0.05)
print("the end", flush=True)
note("end")
if end in ("COMPLETED", "FAILED"):
    propose(end)
else:
    os._exit(int(end))
