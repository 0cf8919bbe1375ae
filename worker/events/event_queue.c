/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/events/event_queue_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/file_lock.h"
#include "common/log.h"

#define LOCK_WAIT_MS 2000
#define BLOCKED_MAX  64u

/* ---- entries ---- */

static void make_room(struct event_queue *q)
{
	size_t room = q->entries_room ? 2 * q->entries_room : 256;
	struct event_entry *entries = xnew_array(struct event_entry, room);

	for (size_t i = 0; i < q->entries_len; i++)
		entries[i] = q->entries[(q->entries_first + i) % q->entries_room];
	free(q->entries);
	q->entries = entries;
	q->entries_first = 0;
	q->entries_room = room;
}

static bool is_over(const struct event_queue *q, const struct event_entry *entry)
{
	return entry->state == EVENT_NOT_MADE || (entry->done & q->all) == q->all;
}

static void count(struct event_queue *q, const struct event_entry *entry, uint16_t sinks, int sign)
{
	for (size_t i = 0; i < q->settings.sinks_len; i++)
		if (sinks & (1u << i))
			q->stats.queued[i] += (uint64_t)((int64_t)entry->events * sign);
}

void event_queue_add_locked(struct event_queue *q, uint64_t seq, const struct event_entry *entry)
{
	struct event_entry gap = { .state = EVENT_NOT_MADE };

	lock_assert(&q->lock);
	if (!q->entries_len)
		q->first_seq = seq;
	/* Of numbers that are missing only those in the files that went could be. */
	for (uint64_t at = q->first_seq + q->entries_len; at <= seq; at++) {
		if (q->entries_len == q->entries_room)
			make_room(q);
		q->entries[(q->entries_first + q->entries_len++) % q->entries_room] =
			at == seq ? *entry : gap;
	}
	q->next_seq = seq + 1;
	if (is_over(q, entry))
		return;
	event_file_find(q, entry->file)->left++;
	count(q, entry, q->all & (uint16_t)~entry->done, 1);
}

static void drop_first(struct event_queue *q)
{
	while (q->entries_len && is_over(q, &q->entries[q->entries_first])) {
		q->entries_first = (q->entries_first + 1) % q->entries_room;
		q->entries_len--;
		q->first_seq++;
	}
}

static void end_entry(struct event_queue *q, const struct event_entry *entry)
{
	struct event_file *file = event_file_find(q, entry->file);

	if (file)
		file->left--;
}

void event_queue_over_locked(struct event_queue *q, uint64_t seq, uint16_t sinks, bool dropped)
{
	struct event_entry *entry = event_entry_at(q, seq);

	if (!entry || is_over(q, entry))
		return;
	sinks &= q->all & (uint16_t)~entry->done;
	count(q, entry, sinks, -1);
	for (size_t i = 0; i < q->settings.sinks_len && dropped; i++)
		if (sinks & (1u << i))
			q->stats.dropped[i] += entry->events;
	entry->done |= sinks;
	if (is_over(q, entry))
		end_entry(q, entry);
}

void event_queue_set_state_locked(struct event_queue *q, uint64_t seq, enum event_state state)
{
	struct event_entry *entry = event_entry_at(q, seq);

	if (!entry || is_over(q, entry))
		return;
	if (state == EVENT_NOT_MADE) {
		count(q, entry, q->all & (uint16_t)~entry->done, -1);
		end_entry(q, entry);
	}
	entry->state = (uint8_t)state;
}

/* It goes, and takes along what nobody was told. */
void event_queue_forget_file_locked(struct event_queue *q, uint32_t number)
{
	for (uint64_t seq = q->first_seq; seq < q->first_seq + q->entries_len; seq++) {
		const struct event_entry *entry = event_entry_at(q, seq);

		if (entry->file > number)
			break;
		if (entry->file == number && !is_over(q, entry))
			event_queue_over_locked(q, seq, q->all, entry->state != EVENT_ABOUT);
	}
	drop_first(q);
}

/* ---- syncing ---- */

static void sync_all(const int *fds, size_t len)
{
	struct error err;

	for (size_t i = 0; i < len; i++) {
		if (fds[i] < 0 || fdatasync(fds[i]) != 0) {
			(void)error_sys(&err, "sync the queue");
			log_warn("events.sync", "error=%s events may be lost with a power cut",
				log_quote(str_of(err.text)));
		}
		if (fds[i] >= 0)
			(void)close(fds[i]);
	}
}

/* All that was put until now. */
static void sync_once(struct event_queue *q)
{
	int fds[EVENT_QUEUE_FILES + 1];
	size_t len = q->rolled_len;
	uint64_t upto = q->put_seq;
	bool folder = q->folder_dirty;
	struct error err;

	lock_assert(&q->lock);
	memcpy(fds, q->rolled, sizeof(q->rolled));
	q->rolled_len = 0;
	q->folder_dirty = false;
	fds[len++] = dup(q->files[q->files_len - 1].fd);
	lock_drop(&q->lock);
	sync_all(fds, len);
	if (folder && !file_sync_folder(q->folder, &err))
		log_warn("events.sync", "error=%s", log_quote(str_of(err.text)));
	lock_take(&q->lock);
	q->synced_seq = upto;
	q->late = false;
	CHECK(pthread_cond_broadcast(&q->synced) == 0);
}

static void *run_sync(void *arg)
{
	struct event_queue *q = arg;

	(void)pthread_setname_np(pthread_self(), "events-sync");
	lock_take(&q->lock);
	while (!q->stopping || q->put_seq > q->synced_seq) {
		if (q->put_seq > q->synced_seq)
			sync_once(q);
		else
			lock_wait(&q->lock, &q->wanted);
	}
	lock_drop(&q->lock);
	return NULL;
}

void event_queue_await(struct event_queue *q, uint64_t seq)
{
	struct timespec end;

	if (!seq)
		return;
	(void)clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += EVENT_QUEUE_WAIT_MS / 1000;
	lock_take(&q->lock);
	while (q->synced_seq < seq && !q->late) {
		q->late = !lock_wait_until(&q->lock, &q->synced, &end);
		if (q->late)
			log_warn("events.sync",
				"waited_ms=%d the disk of the queue does not answer; nobody waits for it "
				"until "
				"it does, and a power cut until then loses events",
				EVENT_QUEUE_WAIT_MS);
	}
	lock_drop(&q->lock);
}

/* ---- who puts ---- */

static void put_number(char *into, uint64_t number, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		into[i] = (char)(number >> (8 * i));
}

static void lose(struct event_queue *q, uint32_t events)
{
	for (size_t i = 0; i < q->settings.sinks_len; i++)
		q->stats.dropped[i] += events;
}

uint64_t event_queue_put(struct event_queue *q, struct str record, uint32_t order, uint32_t events)
{
	struct event_entry entry = { .at_ms = clock_ms(), .order = order, .events = events };
	char head[17] = { 'C' };
	uint64_t seq;

	lock_take(&q->lock);
	seq = q->next_seq;
	put_number(head + 1, seq, 8);
	put_number(head + 9, order, 4);
	put_number(head + 13, events, 4);
	if (event_files_append_locked(q, str_from(head, sizeof(head)), record, &entry.offset)) {
		entry.file = q->files[q->files_len - 1].number;
		event_queue_add_locked(q, seq, &entry);
		q->put_seq = seq;
		CHECK(pthread_cond_signal(&q->wanted) == 0);
	} else {
		lose(q, events);
		seq = 0;
	}
	lock_drop(&q->lock);
	return seq;
}

static void write_mark(struct event_queue *q, char what, const uint64_t *sink, uint64_t seq)
{
	char head[17] = { what };
	size_t len = 1;
	uint32_t ignored;

	if (sink) {
		put_number(head + len, *sink, 8);
		len += 8;
	}
	put_number(head + len, seq, 8);
	(void)!event_files_append_locked(q, str_from(head, len + 8), STR_NONE, &ignored);
}

static void tidy(struct event_queue *q)
{
	drop_first(q);
	event_files_trim_locked(q);
	if (!q->entries_len)
		q->full_said = false;
}

void event_queue_settle(struct event_queue *q, uint64_t seq, enum event_state state)
{
	static const char marks[] = { [EVENT_MADE] = 'M', [EVENT_NOT_MADE] = 'N', [EVENT_DOUBT] = 'Q' };

	CHECK(state != EVENT_ABOUT);
	lock_take(&q->lock);
	if (seq && event_entry_at(q, seq)) {
		write_mark(q, marks[state], NULL, seq);
		event_queue_set_state_locked(q, seq, state);
		tidy(q);
	}
	lock_drop(&q->lock);
	/* Of one that was not made, too: others may have waited behind it. */
	q->settings.on_more(q->settings.arg);
}

/* ---- who sends ---- */

static bool is_in(const uint32_t *orders, size_t len, uint32_t order)
{
	for (size_t i = 0; i < len; i++)
		if (orders[i] == order)
			return true;
	return false;
}

static bool is_over_for(const struct event_entry *entry, size_t sink)
{
	return entry->state == EVENT_NOT_MADE || entry->done & (1u << sink);
}

/* The first that is not over for the sink, or the end. */
static uint64_t pass_over(struct event_queue *q, size_t sink)
{
	const struct event_entry *entry;

	if (q->cursor[sink] < q->first_seq)
		q->cursor[sink] = q->first_seq;
	while ((entry = event_entry_at(q, q->cursor[sink])) && is_over_for(entry, sink))
		q->cursor[sink]++;
	return q->cursor[sink];
}

bool event_queue_next(
	struct event_queue *q, size_t sink, const uint32_t *busy, size_t busy_len, struct event_place *ret)
{
	uint32_t blocked[BLOCKED_MAX];
	const struct event_entry *entry = NULL;
	bool found = false;
	size_t len = busy_len;
	uint64_t seq;

	CHECK(busy_len < BLOCKED_MAX);
	for (size_t i = 0; i < busy_len; i++)
		blocked[i] = busy[i];
	lock_take(&q->lock);
	seq = pass_over(q, sink);
	for (size_t i = 0; i < EVENT_QUEUE_LOOK && len < BLOCKED_MAX && !found; i++, seq++) {
		entry = event_entry_at(q, seq);
		if (!entry)
			break;
		if (is_over_for(entry, sink) || is_in(blocked, len, entry->order))
			continue;
		found = entry->state != EVENT_ABOUT;
		if (found)
			*ret = (struct event_place){ seq, entry->order, entry->state == EVENT_DOUBT };
		blocked[len++] = entry->order;
	}
	lock_drop(&q->lock);
	return found;
}

bool event_queue_read(struct event_queue *q, uint64_t seq, struct buf *into, struct error *err)
{
	char head[EVENT_FRAME_HEAD + 17];
	const struct event_entry *entry;
	const struct event_file *file;
	bool ok = false;
	char *at;
	size_t len;

	lock_take(&q->lock);
	entry = event_entry_at(q, seq);
	file = entry && !is_over(q, entry) ? event_file_find(q, entry->file) : NULL;
	if (!file) {
		(void)error_set(err, ERROR_UNKNOWN, NULL, "it is gone");
	} else if (pread(file->fd, head, sizeof(head), entry->offset) != (ssize_t)sizeof(head)) {
		(void)error_sys(err, "read the queue of events");
	} else {
		len = (size_t)((unsigned char)head[0] | (unsigned)(unsigned char)head[1] << 8 |
			       (unsigned)(unsigned char)head[2] << 16) -
		      17;
		at = buf_reserve(into, len);
		ok = at &&
		     pread(file->fd, at, len, (off_t)entry->offset + (off_t)sizeof(head)) == (ssize_t)len;
		if (ok)
			buf_grew(into, len);
		else
			(void)error_sys(err, "read the queue of events");
	}
	lock_drop(&q->lock);
	return ok;
}

void event_queue_count_dropped(struct event_queue *q, size_t sink, uint32_t events)
{
	lock_take(&q->lock);
	q->stats.dropped[sink] += events;
	lock_drop(&q->lock);
}

void event_queue_done(struct event_queue *q, size_t sink, uint64_t seq)
{
	lock_take(&q->lock);
	if (event_entry_at(q, seq)) {
		write_mark(q, 'D', &q->ids[sink], seq);
		event_queue_over_locked(q, seq, (uint16_t)(1u << sink), false);
		tidy(q);
	}
	lock_drop(&q->lock);
}

struct event_queue_stats event_queue_stats(struct event_queue *q)
{
	struct event_queue_stats stats;

	lock_take(&q->lock);
	stats = q->stats;
	stats.bytes = q->bytes;
	for (size_t sink = 0; sink < q->settings.sinks_len; sink++) {
		const struct event_entry *entry = event_entry_at(q, pass_over(q, sink));

		stats.oldest_ms[sink] = entry ? entry->at_ms : 0;
	}
	lock_drop(&q->lock);
	return stats;
}

/* ---- life ---- */

static struct event_queue *queue_new(const struct event_queue_settings *settings)
{
	struct event_queue *q = xnew(struct event_queue);

	CHECK(settings->sinks_len <= EVENT_SINKS_MAX && settings->bytes_max >= EVENT_QUEUE_LEAST);
	q->settings = *settings;
	q->folder = check_strdup(settings->folder);
	memcpy(q->ids, settings->sinks, sizeof(q->ids));
	for (size_t i = 0; i < settings->sinks_len; i++)
		q->all |= (uint16_t)(1u << i);
	q->lock_fd = -1;
	q->first_seq = q->next_seq = 1;
	lock_init(&q->lock);
	CHECK(pthread_cond_init(&q->wanted, NULL) == 0 && pthread_cond_init(&q->synced, NULL) == 0);
	return q;
}

static void queue_end(struct event_queue *q)
{
	event_files_close(q);
	CHECK(pthread_cond_destroy(&q->wanted) == 0 && pthread_cond_destroy(&q->synced) == 0);
	lock_fini(&q->lock);
	if (q->lock_fd >= 0)
		(void)close(q->lock_fd);
	free(q->entries);
	free(q->folder);
	free(q);
}

bool event_queue_open(
	struct event_queue **ret, const struct event_queue_settings *settings, struct error *err)
{
	struct event_queue *q = queue_new(settings);
	bool ok;

	ok = file_make_folders(q->folder, 0700, err) &&
	     (file_lock_folder(q->folder, "events.lock", LOCK_WAIT_MS, &q->lock_fd, err) ||
		     err->kind == ERROR_UNAVAILABLE);
	if (ok) {
		lock_take(&q->lock);
		ok = event_files_load(q, err);
		drop_first(q);
		lock_drop(&q->lock);
	}
	if (!ok) {
		queue_end(q);
		return error_add(err, "extensions.events: the queue");
	}
	CHECK(pthread_create(&q->thread, NULL, run_sync, q) == 0);
	*ret = q;
	return true;
}

void event_queue_free(struct event_queue *q)
{
	if (!q)
		return;
	lock_take(&q->lock);
	q->stopping = true;
	CHECK(pthread_cond_signal(&q->wanted) == 0);
	lock_drop(&q->lock);
	CHECK(pthread_join(q->thread, NULL) == 0);
	queue_end(q);
}
