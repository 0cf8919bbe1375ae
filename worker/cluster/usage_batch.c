/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/usage_batch.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"

#define KEY_MAX    320
#define ROWS_LEAST 1000u

void usage_batch_init(struct usage_batch *batch, unsigned shares)
{
	size_t rows = USAGE_BATCH_ROWS / shares;

	*batch = (struct usage_batch){ .rows = map_new(),
		.repositories = map_new(),
		.rows_max = rows > ROWS_LEAST ? rows : ROWS_LEAST,
		.names_max = USAGE_BATCH_NAMES / shares };
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

void usage_batch_clear(struct usage_batch *batch)
{
	struct usage_batch empty = { .rows = map_new(),
		.repositories = map_new(),
		.rows_max = batch->rows_max,
		.names_max = batch->names_max };

	usage_batch_fini(batch);
	*batch = empty;
}

void usage_batch_move(struct usage_batch *to, struct usage_batch *from)
{
	*to = *from;
	from->rows = map_new();
	from->repositories = map_new();
	from->names = 0;
}

bool usage_batch_is_empty(const struct usage_batch *batch)
{
	return !map_len(batch->rows) && !map_len(batch->repositories);
}

/* Room for one more name. */
static bool has_room(const struct usage_batch *batch, size_t len)
{
	return map_len(batch->rows) + map_len(batch->repositories) < batch->rows_max &&
	       batch->names + len <= batch->names_max;
}

static struct usage_row *row_find(
	const struct usage_batch *batch, const char *apikey, const char *day, struct buf *key)
{
	buf_clear(key);
	buf_format(key, "%s\n%s", apikey, day);
	CHECK(!key->failed);
	return map_find(batch->rows, buf_str(key));
}

static struct usage_row *row_of(struct usage_batch *batch, const char *apikey, const char *day)
{
	AUTO_FINI(buf) key = buf_limit(KEY_MAX);
	struct usage_row *row = row_find(batch, apikey, day, &key);

	if (!row && !has_room(batch, strlen(apikey))) {
		apikey = USAGE_OTHERS;
		row = row_find(batch, apikey, day, &key);
	}
	if (row)
		return row;
	row = xnew(struct usage_row);
	row->apikey = check_strdup(apikey);
	memcpy(row->day, day, sizeof(row->day));
	batch->names += strlen(apikey);
	(void)map_put(batch->rows, buf_str(&key), row);
	return row;
}

static struct usage_repository *repository_of(struct usage_batch *batch, struct str name)
{
	struct usage_repository *repository = map_find(batch->repositories, name);

	if (repository)
		return repository;
	if (!has_room(batch, name.len) && !str_is(name, USAGE_OTHERS))
		return repository_of(batch, STR(USAGE_OTHERS));
	repository = xnew(struct usage_repository);
	repository->name = check_strndup(name.at, name.len);
	batch->names += name.len;
	(void)map_put(batch->repositories, name, repository);
	return repository;
}

void usage_batch_count(struct usage_batch *batch, const struct usage_event *event, const char day[11])
{
	if (*event->apikey) {
		struct usage_row *row = row_of(batch, event->apikey, day);
		row->calls++;
		row->ungranted += !event->granted;
		row->granted_month += event->granted_month;
		row->granted_bytes += event->granted_bytes;
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
		row->ungranted += add->ungranted;
		row->granted_month += add->granted_month;
		row->granted_bytes += add->granted_bytes;
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
	usage_batch_clear(from);
}

/* What fits one report, by rows and by bytes of texts. */
struct chunk {
	struct usage_report *report;
	size_t bytes;
};

static bool chunk_takes(struct chunk *chunk, const char *text)
{
	size_t rows = chunk->report->rows_len + chunk->report->repositories_len, len = strlen(text);

	if (rows >= USAGE_CHUNK_ROWS || chunk->bytes + len > USAGE_CHUNK_BYTES)
		return false;
	chunk->bytes += len;
	return true;
}

static size_t room_for(const struct map *map)
{
	return map_len(map) < USAGE_CHUNK_ROWS ? map_len(map) + 1 : USAGE_CHUNK_ROWS;
}

static void chunk_rows(struct chunk *chunk, const struct usage_batch *batch, size_t *at)
{
	struct usage_report *report = chunk->report;
	void *value;

	report->rows = xnew_array(struct usage_row, room_for(batch->rows));
	for (size_t next = *at; map_next(batch->rows, &next, NULL, &value); *at = next) {
		const struct usage_row *row = value;

		if (!chunk_takes(chunk, row->apikey))
			return;
		report->rows[report->rows_len] = *row;
		report->rows[report->rows_len++].apikey = check_strdup(row->apikey);
	}
}

static void chunk_repositories(struct chunk *chunk, const struct usage_batch *batch, size_t *at)
{
	struct usage_report *report = chunk->report;
	void *value;

	report->repositories = xnew_array(struct usage_repository, room_for(batch->repositories));
	for (size_t next = *at; map_next(batch->repositories, &next, NULL, &value); *at = next) {
		const struct usage_repository *repository = value;

		if (!chunk_takes(chunk, repository->name))
			return;
		report->repositories[report->repositories_len] = *repository;
		report->repositories[report->repositories_len++].name = check_strdup(repository->name);
	}
}

bool usage_batch_chunk(
	const struct usage_batch *batch, struct usage_batch_at *at, struct usage_report *report)
{
	struct chunk chunk = { .report = report };

	chunk_rows(&chunk, batch, &at->row);
	chunk_repositories(&chunk, batch, &at->repository);
	if (report->rows_len || report->repositories_len)
		return true;
	free(report->rows);
	free(report->repositories);
	report->rows = NULL;
	report->repositories = NULL;
	return false;
}
