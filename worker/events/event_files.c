/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_files - the files of the queue: read at the start, appended to, and the oldest taken away.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/aside.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/crc32c.h"
#include "common/file.h"
#include "common/log.h"
#include "worker/events/event_queue_priv.h"
#include "worker/events/event_record.h"

#define SUFFIX           ".events"
#define BODY_MAX         (EVENT_RECORD_MAX + 32)
#define CHANGE_LEN       17u
#define EVENT_FILE_LEAST 256u /* of a file that has a head and the sinks, and maybe nothing else */

static const char head_text[EVENT_FILE_HEAD] = "zot events 1\n";

static uint64_t file_bytes_max(const struct event_queue *q)
{
	return q->settings.bytes_max / EVENT_QUEUE_FILES;
}

static void path_of(const struct event_queue *q, uint32_t number, char into[PATH_MAX])
{
	CHECK(snprintf(into, PATH_MAX, "%s/%010" PRIu32 SUFFIX, q->folder, number) < PATH_MAX);
}

struct event_file *event_file_find(struct event_queue *q, uint32_t number)
{
	for (size_t i = 0; i < q->files_len; i++)
		if (q->files[i].number == number)
			return &q->files[i];
	return NULL;
}

static uint64_t number_at(const char *at, size_t bytes)
{
	uint64_t number = 0;

	for (size_t i = 0; i < bytes; i++)
		number |= (uint64_t)(unsigned char)at[i] << (8 * i);
	return number;
}

/* ---- reading ---- */

struct loading {
	struct event_queue *q;
	struct event_file *file;
	uint16_t not_for; /* sinks that were not there yet */
};

static uint16_t bit_of(const struct event_queue *q, uint64_t id)
{
	for (size_t i = 0; i < q->settings.sinks_len; i++)
		if (q->ids[i] == id)
			return (uint16_t)(1u << i);
	return 0;
}

static bool take_change(struct loading *l, struct str body, uint32_t offset)
{
	uint64_t seq = body.len > CHANGE_LEN ? number_at(body.at + 1, 8) : 0;
	struct event_entry entry = { .at_ms = clock_ms(), .file = l->file->number, .offset = offset };

	/* A number that does not follow was not written by us, and would cost memory. */
	if (!seq || seq < l->q->next_seq || (l->q->entries_len && seq - l->q->next_seq > 1000000))
		return false;
	entry.order = (uint32_t)number_at(body.at + 9, 4);
	entry.events = (uint32_t)number_at(body.at + 13, 4);
	entry.done = l->not_for;
	if (entry.events > EVENT_TAGS_MAX + 2)
		return false;
	event_queue_add_locked(l->q, seq, &entry);
	return true;
}

static bool take_frame(struct loading *l, struct str body, uint32_t offset)
{
	struct event_queue *q = l->q;
	uint64_t seq = body.len >= 9 ? number_at(body.at + body.len - 8, 8) : 0;

	switch (body.at[0]) {
	case 'S':
		l->not_for = q->all;
		for (size_t at = 1; at + 8 <= body.len; at += 8)
			l->not_for &= (uint16_t)~bit_of(q, number_at(body.at + at, 8));
		return true;
	case 'C':
		return take_change(l, body, offset);
	case 'M':
		event_queue_set_state_locked(q, seq, EVENT_MADE);
		return body.len == 9;
	case 'N':
		event_queue_set_state_locked(q, seq, EVENT_NOT_MADE);
		return body.len == 9;
	case 'Q':
		event_queue_set_state_locked(q, seq, EVENT_DOUBT);
		return body.len == 9;
	case 'D':
		if (body.len == 17)
			event_queue_over_locked(q, seq, bit_of(q, number_at(body.at + 1, 8)), false);
		return body.len == 17;
	default:
		return false;
	}
}

/* How many bytes of it are good. */
static size_t take_frames(struct loading *l, struct str bytes)
{
	size_t at = EVENT_FILE_HEAD;

	while (bytes.len - at >= EVENT_FRAME_HEAD) {
		uint64_t len = number_at(bytes.at + at, 4), sum = number_at(bytes.at + at + 4, 4);
		struct str body = str_from(bytes.at + at + EVENT_FRAME_HEAD, (size_t)len);

		if (!len || len > BODY_MAX || len > bytes.len - at - EVENT_FRAME_HEAD ||
			crc32c_add(0, body.at, body.len) != sum || !take_frame(l, body, (uint32_t)at))
			break;
		at += EVENT_FRAME_HEAD + (size_t)len;
	}
	return at;
}

/* The bytes behind `good` are kept for people. */
static bool cut(const struct event_queue *q, struct event_file *file, size_t good, struct error *err)
{
	AUTO_FINI(buf) kept = buf_limit(PATH_MAX + 64);
	char path[PATH_MAX];
	struct error why;

	path_of(q, file->number, path);
	if (!aside_keep(path, "damaged", &kept, &why))
		log_warn("events.queue", "error=%s", log_quote(str_of(why.text)));
	log_warn("events.queue",
		"file=%s bytes=%" PRIu64
		" good=%zu kept=%s its end is damaged, as a power cut leaves it, and "
		"was cut off; events in it may be lost",
		log_quote(str_of(path)), file->bytes, good, log_quote(buf_str(&kept)));
	/* What was kept is the same file under another name: what goes on is a copy. */
	AUTO_FINI(buf) text = buf_limit(UINT32_MAX);
	if (!file_read(path, &text, err))
		return false;
	(void)close(TAKE_FD(file->fd));
	if (!file_write_durable(path, str_from(text.at, good), 0600, err))
		return false;
	file->fd = open(path, O_RDWR | O_CLOEXEC | O_APPEND);
	file->bytes = good;
	return file->fd >= 0 || error_sys(err, "open %s", path);
}

static bool is_ours(struct str bytes)
{
	return bytes.len >= EVENT_FILE_HEAD && !memcmp(bytes.at, head_text, EVENT_FILE_HEAD);
}

/* One that has not even a head was made in the moment of a power cut; another one may be of a newer version. */
static bool put_aside(const char *path, struct str bytes)
{
	AUTO_FINI(buf) kept = buf_limit(PATH_MAX + 64);
	struct error err;

	if (bytes.len && !aside_keep(path, "damaged", &kept, &err))
		log_warn("events.queue", "error=%s", log_quote(str_of(err.text)));
	if (bytes.len)
		log_warn("events.queue",
			"file=%s kept=%s it is no queue of events that this version knows; what is in it is "
			"not "
			"sent",
			log_quote(str_of(path)), log_quote(buf_str(&kept)));
	return unlink(path) == 0;
}

static bool load_file(struct event_queue *q, uint32_t number, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(UINT32_MAX);
	struct event_file *file = &q->files[q->files_len];
	struct loading l = { .q = q, .file = file };
	char path[PATH_MAX];
	size_t good;

	path_of(q, number, path);
	if (!file_read(path, &text, err))
		return false;
	if (!is_ours(buf_str(&text)))
		return put_aside(path, buf_str(&text)) || error_sys(err, "remove %s", path);
	*file = (struct event_file){ .number = number, .bytes = text.len };
	file->fd = open(path, O_RDWR | O_CLOEXEC | O_APPEND);
	if (file->fd < 0)
		return error_sys(err, "open %s", path);
	q->files_len++;
	good = take_frames(&l, buf_str(&text));
	if (good < text.len && !cut(q, file, good, err))
		return false;
	q->bytes += file->bytes;
	return true;
}

static int compare_numbers(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static size_t find_files(const char *folder, uint32_t *into, size_t max)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	uint64_t number;
	size_t len = 0;

	while (dir && (entry = readdir(dir)) && len < max) {
		struct str name = str_of(entry->d_name);

		if (name.len == 10 + strlen(SUFFIX) && str_ends(name, SUFFIX) &&
			str_to_number(str_from(name.at, 10), UINT32_MAX - 1, &number))
			into[len++] = (uint32_t)number;
	}
	if (dir)
		(void)closedir(dir);
	qsort(into, len, sizeof(*into), compare_numbers);
	return len;
}

/* ---- the file that grows ---- */

/* errno says why. */
static void say_lost(struct event_queue *q)
{
	struct error err;

	if (q->lost_said)
		return;
	q->lost_said = true;
	(void)error_sys(&err, "write to %s", q->folder);
	log_error("events.queue",
		"error=%s the queue of events cannot be written: events are lost until it can",
		log_quote(str_of(err.text)));
}

static bool write_frame(struct event_queue *q, struct str head, struct str tail, uint32_t *ret_offset)
{
	struct event_file *file = &q->files[q->files_len - 1];
	uint32_t sum = crc32c_add(crc32c_add(0, head.at, head.len), tail.at, tail.len);
	uint32_t len = (uint32_t)(head.len + tail.len);
	char before[EVENT_FRAME_HEAD];
	struct iovec parts[3] = { { before, sizeof(before) }, { (void *)(uintptr_t)head.at, head.len },
		{ (void *)(uintptr_t)tail.at, tail.len } };
	ssize_t written;

	for (size_t i = 0; i < 4; i++) {
		before[i] = (char)(len >> (8 * i));
		before[4 + i] = (char)(sum >> (8 * i));
	}
	written = writev(file->fd, parts, tail.len ? 3 : 2);
	if (written == (ssize_t)(sizeof(before) + len)) {
		*ret_offset = (uint32_t)file->bytes;
		file->bytes += (uint64_t)written;
		q->bytes += (uint64_t)written;
		q->lost_said = false;
		return true;
	}
	if (written >= 0)
		errno = ENOSPC;
	say_lost(q);
	/* Half of a frame would end the file for whoever reads it. */
	if (written > 0 && ftruncate(file->fd, (off_t)file->bytes) != 0)
		file->bytes = file_bytes_max(q); /* the next one goes into another file */
	return false;
}

/* Who is told of what is put from here on. */
static bool write_sinks(struct event_queue *q)
{
	char sinks[1 + 8 * EVENT_SINKS_MAX] = { 'S' };
	uint32_t ignored;

	for (size_t i = 0; i < q->settings.sinks_len; i++)
		for (size_t j = 0; j < 8; j++)
			sinks[1 + 8 * i + j] = (char)(q->ids[i] >> (8 * j));
	return write_frame(q, str_from(sinks, 1 + 8 * q->settings.sinks_len), STR_NONE, &ignored);
}

static bool begin_file(struct event_queue *q, uint32_t number)
{
	struct event_file *file = &q->files[q->files_len];
	char path[PATH_MAX];

	path_of(q, number, path);
	*file = (struct event_file){ .number = number, .bytes = EVENT_FILE_HEAD };
	file->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_APPEND, 0600);
	if (file->fd < 0 || !file_write_all(file->fd, head_text, sizeof(head_text), NULL)) {
		say_lost(q);
		if (file->fd >= 0)
			(void)close(file->fd);
		(void)unlink(path);
		return false;
	}
	q->files_len++;
	q->bytes += EVENT_FILE_HEAD;
	q->folder_dirty = true;
	return write_sinks(q);
}

static void drop_oldest(struct event_queue *q)
{
	char path[PATH_MAX];

	event_queue_forget_file_locked(q, q->files[0].number);
	path_of(q, q->files[0].number, path);
	(void)unlink(path);
	(void)close(q->files[0].fd);
	q->bytes -= q->files[0].bytes;
	q->files_len--;
	memmove(&q->files[0], &q->files[1], q->files_len * sizeof(q->files[0]));
}

void event_files_trim_locked(struct event_queue *q)
{
	lock_assert(&q->lock);
	while (q->files_len > 1 && !q->files[0].left)
		drop_oldest(q);
}

static bool roll(struct event_queue *q)
{
	const struct event_file *last = &q->files[q->files_len - 1];
	int fd = dup(last->fd);

	if (q->rolled_len < EVENT_QUEUE_FILES)
		q->rolled[q->rolled_len++] = fd;
	else if (fd >= 0)
		(void)close(fd);
	return begin_file(q, last->number + 1);
}

/* For so many bytes more, in at most so many files. */
static void make_room(struct event_queue *q, uint64_t len, size_t files_most)
{
	while (q->files_len > 1 && (q->bytes + len > q->settings.bytes_max || q->files_len > files_most)) {
		if (!q->full_said && q->files[0].left)
			log_warn("events.full",
				"bytes=%" PRIu64 " limit=%" PRIu64 " the queue of events is full, since a "
				"sink takes none or few: the oldest are "
				"dropped",
				q->bytes, q->settings.bytes_max);
		q->full_said = q->full_said || q->files[0].left;
		drop_oldest(q);
	}
}

static bool has_room(const struct event_queue *q, uint64_t len)
{
	uint64_t bytes = q->files[q->files_len - 1].bytes;

	return bytes + len <= file_bytes_max(q) || bytes <= EVENT_FILE_LEAST;
}

bool event_files_append_locked(struct event_queue *q, struct str head, struct str tail, uint32_t *ret_offset)
{
	uint64_t len = EVENT_FRAME_HEAD + head.len + tail.len;

	lock_assert(&q->lock);
	if (head.len + tail.len > BODY_MAX)
		return false;
	if (!has_room(q, len)) {
		make_room(q, len, EVENT_QUEUE_FILES - 1);
		if (!roll(q))
			return false;
	}
	make_room(q, len, EVENT_QUEUE_FILES + 1);
	return write_frame(q, head, tail, ret_offset);
}

/* More than we ever have: of settings that allowed more. */
static void drop_unread(const struct event_queue *q, uint32_t number)
{
	char path[PATH_MAX];

	path_of(q, number, path);
	log_warn("events.full", "file=%s is one too many for the queue of events: what is in it is dropped",
		log_quote(str_of(path)));
	(void)unlink(path);
}

bool event_files_load(struct event_queue *q, struct error *err)
{
	uint32_t *numbers = xnew_array(uint32_t, 65536);
	size_t len = find_files(q->folder, numbers, 65536),
	       from = len > EVENT_QUEUE_FILES ? len - EVENT_QUEUE_FILES : 0;
	uint32_t next = len ? numbers[len - 1] + 1 : 1;
	bool ok = true;

	for (size_t i = 0; i < from; i++)
		drop_unread(q, numbers[i]);
	for (size_t i = from; i < len && ok; i++)
		ok = load_file(q, numbers[i], err);
	free(numbers);
	/* What was about to be when the process ended: nobody knows. */
	for (size_t i = 0; i < q->entries_len; i++) {
		struct event_entry *entry = event_entry_at(q, q->first_seq + i);

		if (entry->state == EVENT_ABOUT)
			entry->state = EVENT_DOUBT;
	}
	q->put_seq = q->synced_seq = q->next_seq - 1;
	if (ok)
		event_files_trim_locked(q);
	if (ok && !(q->files_len && has_room(q, EVENT_FILE_LEAST) ? write_sinks(q) : begin_file(q, next)))
		ok = error_set(err, ERROR_UNAVAILABLE, NULL, "%s cannot be written", q->folder);
	return ok;
}

void event_files_close(struct event_queue *q)
{
	for (size_t i = 0; i < q->rolled_len; i++)
		if (q->rolled[i] >= 0)
			(void)close(q->rolled[i]);
	for (size_t i = 0; i < q->files_len; i++)
		if (q->files[i].fd >= 0)
			(void)close(q->files[i].fd);
}
