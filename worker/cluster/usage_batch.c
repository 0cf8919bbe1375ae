/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/usage_batch.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"

#define ROWS_MAX (USAGE_CHUNK_ROWS / 2)
#define KEY_MAX  320

void usage_batch_init(struct usage_batch *batch)
{
	batch->rows = map_new();
	batch->repositories = map_new();
}

void usage_batch_fini(struct usage_batch *batch)
{
	void *value;

	for (size_t at = 0; map_next(batch->rows, &at, NULL, &value);) {
		free(((struct usage_row *)value)->apikey);
		free(value);
	}
	for (size_t at = 0; map_next(batch->repositories, &at, NULL, &value);) {
		free(((struct usage_repository *)value)->name);
		free(value);
	}
	map_free(batch->rows);
	map_free(batch->repositories);
}

bool usage_batch_is_empty(const struct usage_batch *batch)
{
	return !map_len(batch->rows) && !map_len(batch->repositories);
}

static struct usage_row *row_of(struct usage_batch *batch, const char *apikey, const char *day)
{
	struct usage_row *row;
	char key[KEY_MAX];
	int len;

	if (map_len(batch->rows) >= ROWS_MAX)
		apikey = USAGE_OTHERS;
	len = snprintf(key, sizeof(key), "%s\n%s", apikey, day);
	CHECK(len > 0 && len < KEY_MAX);
	row = map_find(batch->rows, str_from(key, (size_t)len));
	if (row)
		return row;
	row = xnew(struct usage_row);
	row->apikey = check_strdup(apikey);
	memcpy(row->day, day, sizeof(row->day));
	(void)map_put(batch->rows, str_from(key, (size_t)len), row);
	return row;
}

static struct usage_repository *repository_of(struct usage_batch *batch, struct str name)
{
	struct usage_repository *repository = map_find(batch->repositories, name);

	if (repository)
		return repository;
	if (map_len(batch->repositories) >= ROWS_MAX && !str_is(name, USAGE_OTHERS))
		return repository_of(batch, STR(USAGE_OTHERS));
	repository = xnew(struct usage_repository);
	repository->name = check_strndup(name.at, name.len);
	(void)map_put(batch->repositories, name, repository);
	return repository;
}

void usage_batch_count(struct usage_batch *batch, const struct usage_event *event, const char day[11])
{
	if (*event->apikey) {
		struct usage_row *row = row_of(batch, event->apikey, day);
		row->calls++;
		row->bytes_in += event->bytes_in;
		row->bytes_out += event->bytes_out;
	}
	if (event->repository.len) {
		struct usage_repository *repository = repository_of(batch, event->repository);
		repository->pulls += event->pull;
		repository->pushes += event->push;
		repository->bytes_in += event->bytes_in;
		repository->bytes_out += event->bytes_out;
	}
}

void usage_batch_merge(struct usage_batch *batch, struct usage_batch *from)
{
	void *value;

	for (size_t at = 0; map_next(from->rows, &at, NULL, &value);) {
		const struct usage_row *add = value;
		struct usage_row *row = row_of(batch, add->apikey, add->day);
		row->calls += add->calls;
		row->bytes_in += add->bytes_in;
		row->bytes_out += add->bytes_out;
	}
	for (size_t at = 0; map_next(from->repositories, &at, NULL, &value);) {
		const struct usage_repository *add = value;
		struct usage_repository *repository = repository_of(batch, str_of(add->name));
		repository->pulls += add->pulls;
		repository->pushes += add->pushes;
		repository->bytes_in += add->bytes_in;
		repository->bytes_out += add->bytes_out;
	}
	usage_batch_fini(from);
	usage_batch_init(from);
}

void usage_batch_copy(const struct usage_batch *batch, struct usage_push *push)
{
	void *value;

	push->rows = xnew_array(struct usage_row, map_len(batch->rows) + 1);
	for (size_t at = 0; map_next(batch->rows, &at, NULL, &value); push->rows_len++) {
		push->rows[push->rows_len] = *(struct usage_row *)value;
		push->rows[push->rows_len].apikey = check_strdup(((struct usage_row *)value)->apikey);
	}
	push->repositories = xnew_array(struct usage_repository, map_len(batch->repositories) + 1);
	for (size_t at = 0; map_next(batch->repositories, &at, NULL, &value); push->repositories_len++) {
		push->repositories[push->repositories_len] = *(struct usage_repository *)value;
		push->repositories[push->repositories_len].name =
			check_strdup(((struct usage_repository *)value)->name);
	}
}

void usage_batch_freeze(struct usage_batch *batch, struct usage_push *push)
{
	usage_batch_copy(batch, push);
	usage_batch_fini(batch);
	usage_batch_init(batch);
}
