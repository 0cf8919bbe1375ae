/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_backup - any bytes as a backup. Nobody guesses a SHA-256, so it is put right before; what is taken must survive being
 * put away again.
 */
#include "common/check.h"
#include "proto/backup.h"

static void put_sum(char *bytes, size_t len)
{
	uint8_t sum[HASH_MAX];

	if (len < 32)
		return;
	hash_bytes(HASH_SHA256, bytes, len - 32, sum);
	memcpy(bytes + len - 32, sum, 32);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_STR *bytes = str_dup(str_from(data, size));
	AUTO_FINI(buf) again = buf_limit(BACKUP_BYTES_MAX);
	AUTO(state) *state = NULL, *third = NULL;

	put_sum(bytes, size);
	if (!backup_decode(str_from(bytes, size), NULL, BACKUP_FOR_LEADER, STATE_BYTES_MAX, &state, NULL))
		return 0;
	backup_encode(state, 1, NULL, &again);
	CHECK(!again.failed);
	/* Members of entities that we do not know are in its digest, and are not written again. */
	if (backup_decode(buf_str(&again), NULL, BACKUP_FOR_LEADER, STATE_BYTES_MAX, &third, NULL))
		CHECK(state_same(state, third) &&
			state_count(state, ENTITY_WORKER) == state_count(third, ENTITY_WORKER));
	return 0;
}
