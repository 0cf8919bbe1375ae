# SPDX-License-Identifier: Apache-2.0
"""kill -9 under push load with a bucket as the store, also while logs are folded."""
import json
import random
import threading

import s3_servers
from test_worker_kills import REPOSITORIES, check, pushing
from worker_process import Worker

ROUNDS = 50


def test_fifty_kills_on_a_bucket():
    random.seed(2)
    with s3_servers.start("moto") as server:
        s3 = {k: v for k, v in server.environment().items() if not k.startswith("ZOT_")}
        with Worker(ZOT_LOG_LEVEL="warn", ZOT_INDEX_LOG="8192", **s3) as worker:
            with pushing(worker, 4) as pushers:
                for _ in range(ROUNDS):
                    threading.Event().wait(random.uniform(0.01, 0.3))
                    worker.kill()
                    worker.start()
                    check(worker, pushers, 3)
            check(worker, pushers)
            print(f"{ROUNDS} kills, {sum(len(p.tags) for p in pushers)} tags and {sum(len(p.blobs) for p in pushers)} blobs found")
            worker.stop()
            bucket = server.client()
            for r in range(REPOSITORIES):
                index = json.loads(bucket.get_object(Bucket=server.bucket, Key=f"kill/app{r}/index.json")["Body"].read())
                there = {m.get("annotations", {}).get("org.opencontainers.image.ref.name") for m in index["manifests"]}
                acknowledged = {tag for p in pushers for (name, tag), may in p.tags.items() if name == f"kill/app{r}" and None not in may}
                assert acknowledged - there == set()
            worker.start()
            check(worker, pushers)
