# SPDX-License-Identifier: Apache-2.0
"""Several files run beside each other (tests/run): those that take longest begin first, so that nobody waits for one at the end."""

SECONDS = {  # of a file, one test after the other; a file that is not here takes less than forty
    "test_histories.py": 300, "test_store.py": 190, "test_settings.py": 150, "test_quotas.py": 140, "test_s3_kills.py": 130,
    "test_hostile_leader.py": 130, "test_leaders.py": 100, "test_rolling_restart.py": 80, "test_failures.py": 80, "test_worker_chores.py": 80,
    "test_s3_hostile.py": 75, "test_pages.py": 70, "test_joining.py": 70, "test_worker_joining.py": 70, "test_logins.py": 70,
    "test_storage_away.py": 65, "test_deploy.py": 60, "test_leader_live.py": 60, "test_leader_openapi.py": 60, "test_worker_history.py": 60,
    "test_rounds.py": 120, "test_redis.py": 50, "test_worker_peers.py": 50, "test_storage_stories.py": 50, "test_answers.py": 45, "test_s3_field.py": 45, "test_s3_weather.py": 45,
}


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: -SECONDS.get(item.path.name, 0))
