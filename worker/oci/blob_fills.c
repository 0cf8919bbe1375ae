/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob_fills - one lock for the table and all that readers see of a fill; what a filler works with is its thread's.
 *
 * A fill is counted: its filler has one reference while it is under way, each reader one. The last one hands it to its filler's
 * thread, which closes and removes files.
 */
#include "worker/oci/blob_fills.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/http_client.h"
#include "common/list.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/map.h"
#include "proto/range.h"
#include "worker/oci/blob_fetch.h"
#include "worker/storage/blob_cache.h"

#define FILL_MAGIC   MAGIC('F', 'I', 'L', 'L')
#define READER_MAGIC MAGIC('F', 'R', 'D', 'R')
#define WORTH        (256u * 1024) /* bytes that a reader is woken for at once */
#define TRICKLE_MS   25            /* for fewer it waits so long */
#define RESUMES      4             /* in a row without a byte */
#define FILLERS_MAX  16

struct filler {
	struct blob_fills *fills;
	struct loop *loop;
	struct http_client *client;
	pthread_t thread;
	bool runs;
	unsigned busy; /* under the lock */
};

struct blob_fill {
	uint32_t magic;
	struct filler *filler;
	/* Under the lock. */
	unsigned refs, readers_len;
	struct list readers;
	struct fill_view view;
	int64_t head_ms; /* when the bucket said that the repository has it */
	/* Never changed, but the file: made before the view says that bytes are there. */
	struct name name;
	struct digest digest;
	uint64_t mark;
	struct cache_file *file;
	/* The filler's. */
	struct blob_fetch fetch;
	struct hasher *hasher;
	uint64_t at, resumed_at;
	unsigned resumes;
	bool told, ended, not_kept;
	struct loop_timer trickle, alone;
};

struct fill_reader {
	uint32_t magic;
	struct blob_fill *fill;
	struct loop *loop;
	void (*wake)(void *arg);
	void *arg;
	struct list in_fill;
	/* Under the lock. */
	bool armed, posted, gone;
	struct fill_view seen;
};

struct blob_fills {
	struct store *store;
	struct blob_cache *cache;
	struct lock lock;
	struct map *running; /* by digest */
	struct filler fillers[FILLERS_MAX];
	unsigned fillers_len;
	uint64_t failed, wrong;
};

static struct str key_of(const struct digest *digest)
{
	return str_from(digest->raw, hash_size(digest->alg));
}

static struct blob_fill *own(void *arg)
{
	struct blob_fill *fill = OBJ_CAST(blob_fill, FILL_MAGIC, arg);

	loop_assert(fill->filler->loop);
	return fill;
}

static struct lock *lock_of(const struct blob_fill *fill)
{
	return &fill->filler->fills->lock;
}

/* ---- readers ---- */

static void run_wake(void *arg)
{
	struct fill_reader *reader = OBJ_CAST(fill_reader, READER_MAGIC, arg);
	struct lock *lock = lock_of(reader->fill);
	bool gone;

	lock_take(lock);
	reader->posted = false;
	gone = reader->gone;
	lock_drop(lock);
	if (gone)
		fill_reader_free(reader);
	else
		reader->wake(reader->arg);
}

static void post_wake_locked(struct fill_reader *reader)
{
	reader->armed = false;
	if (reader->posted)
		return;
	reader->posted = true;
	loop_post(reader->loop, run_wake, reader);
}

static bool is_worth(const struct blob_fill *fill, const struct fill_reader *reader, bool trickle)
{
	const struct fill_view *seen = &reader->seen, *view = &fill->view;

	if (view->state != seen->state)
		return true;
	return view->there > seen->there && (trickle || view->there - seen->there >= WORTH);
}

/* True: somebody waits still who has not seen all. */
static bool tell_locked(struct blob_fill *fill, bool trickle)
{
	bool left = false;

	lock_assert(lock_of(fill));
	for (LIST_EACH(node, &fill->readers)) {
		struct fill_reader *reader = LIST_OF(struct fill_reader, in_fill, node);
		if (!reader->armed)
			continue;
		if (is_worth(fill, reader, trickle))
			post_wake_locked(reader);
		else
			left |= is_worth(fill, reader, true);
	}
	return left;
}

static void free_fill(void *arg)
{
	struct blob_fill *fill = own(arg);

	CHECK(fill->ended || !fill->fetch.magic);
	cache_file_free(fill->file);
	hasher_free(fill->hasher);
	fill->magic = 0;
	free(fill);
}

static void unref_locked(struct blob_fill *fill)
{
	CHECK(fill->refs > 0);
	if (--fill->refs == 0)
		loop_post(fill->filler->loop, free_fill, fill);
}

static void look_alone(void *arg);

/* Whoever posts holds a reference for it. */
static void run_look_alone(void *arg)
{
	struct blob_fill *fill = own(arg);

	look_alone(fill);
	lock_take(lock_of(fill));
	unref_locked(fill);
	lock_drop(lock_of(fill));
}

static void leave_locked(struct fill_reader *reader)
{
	struct blob_fill *fill = reader->fill;

	list_drop(&reader->in_fill);
	reader->gone = true;
	reader->armed = false;
	if (--fill->readers_len == 0) {
		fill->refs++;
		loop_post(fill->filler->loop, run_look_alone, fill);
	}
}

void fill_reader_free(struct fill_reader *reader)
{
	struct lock *lock;
	bool posted;

	if (!reader)
		return;
	CHECK(reader->magic == READER_MAGIC);
	loop_assert(reader->loop);
	lock = lock_of(reader->fill);
	lock_take(lock);
	if (!reader->gone)
		leave_locked(reader);
	posted = reader->posted;
	if (!posted)
		unref_locked(reader->fill);
	lock_drop(lock);
	if (posted) /* its wake-up ends it */
		return;
	reader->magic = 0;
	free(reader);
}

struct fill_view fill_reader_look(const struct fill_reader *reader)
{
	struct lock *lock = lock_of(reader->fill);
	struct fill_view view;

	loop_assert(reader->loop);
	lock_take(lock);
	view = reader->fill->view;
	lock_drop(lock);
	return view;
}

bool fill_reader_is_from(const struct fill_reader *reader, const struct name *name)
{
	loop_assert(reader->loop);
	return !strcmp(reader->fill->name.text, name->text);
}

bool fill_reader_is_of(const struct fill_reader *reader, const struct name *name, uint64_t mark)
{
	const struct blob_fill *fill = reader->fill;
	struct lock *lock = lock_of(fill);
	bool fresh;

	lock_take(lock);
	fresh = fill->view.state == FILL_ASKING || clock_ms() - fill->head_ms < FILL_PROOF_MS;
	lock_drop(lock);
	return fresh && fill->mark == mark && fill_reader_is_from(reader, name);
}

void fill_reader_await(struct fill_reader *reader, const struct fill_view *seen)
{
	struct lock *lock = lock_of(reader->fill);

	loop_assert(reader->loop);
	lock_take(lock);
	reader->seen = *seen;
	reader->armed = true;
	if (is_worth(reader->fill, reader, true))
		post_wake_locked(reader);
	lock_drop(lock);
}

int fill_reader_open(const struct fill_reader *reader)
{
	loop_assert(reader->loop);
	CHECK(reader->fill->file);
	return fcntl(reader->fill->file->fd, F_DUPFD_CLOEXEC, 3);
}

/* ---- a fill, on its filler's thread ---- */

static void on_trickle(void *arg)
{
	struct blob_fill *fill = own(arg);

	lock_take(lock_of(fill));
	(void)tell_locked(fill, true);
	lock_drop(lock_of(fill));
}

/* What is there now is told once for all pieces of a turn. */
static void publish(void *arg)
{
	struct blob_fill *fill = own(arg);
	uint64_t most = fill->view.size > FILL_HOLD ? fill->view.size - FILL_HOLD : 0;
	bool left;

	fill->told = false;
	lock_take(lock_of(fill));
	if (fill->view.state == FILL_FLOWING)
		fill->view.there = fill->at < most ? fill->at : most;
	left = tell_locked(fill, false);
	unref_locked(fill);
	lock_drop(lock_of(fill));
	if (left && !fill->ended && fill->trickle.slot == 0)
		loop_timer_start(fill->filler->loop, &fill->trickle, TRICKLE_MS, on_trickle, fill);
}

static void publish_soon(struct blob_fill *fill)
{
	if (fill->told)
		return;
	fill->told = true;
	lock_take(lock_of(fill));
	fill->refs++;
	lock_drop(lock_of(fill));
	loop_post(fill->filler->loop, publish, fill);
}

/* The last thing that happens to it, once. */
static void end(struct blob_fill *fill, enum fill_state state)
{
	struct blob_fills *fills = fill->filler->fills;

	CHECK(!fill->ended);
	fill->ended = true;
	blob_fetch_stop(&fill->fetch);
	loop_timer_stop(fill->filler->loop, &fill->trickle);
	loop_timer_stop(fill->filler->loop, &fill->alone);
	lock_take(&fills->lock);
	fill->view.state = state;
	if (state == FILL_WHOLE)
		fill->view.there = fill->view.size;
	fills->failed += state == FILL_FAILED;
	fills->wrong += state == FILL_WRONG;
	CHECK(map_delete(fills->running, key_of(&fill->digest)) == fill);
	fill->filler->busy--;
	(void)tell_locked(fill, true);
	unref_locked(fill);
	lock_drop(&fills->lock);
}

static void log_it(const struct blob_fill *fill, const char *event, const char *why)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(&fill->digest, text);
	log_warn(event, "name=%s digest=%s bytes=%" PRIu64 " error=%s", fill->name.text, text, fill->at,
		log_quote(str_of(why)));
}

static bool is_worth_finishing(const struct blob_fill *fill)
{
	uint64_t left = fill->view.size - fill->at;

	return fill->view.state != FILL_ASKING && (left <= FILL_ALONE || fill->at >= left);
}

static bool is_alone(struct blob_fill *fill)
{
	bool alone;

	lock_take(lock_of(fill));
	alone = fill->readers_len == 0;
	lock_drop(lock_of(fill));
	return alone;
}

static void on_alone(void *arg)
{
	struct blob_fill *fill = own(arg);

	if (is_alone(fill) && !is_worth_finishing(fill))
		end(fill, FILL_NOT_KEPT);
}

static void look_alone(void *arg)
{
	struct blob_fill *fill = own(arg);

	if (!fill->ended && is_alone(fill))
		loop_timer_start(fill->filler->loop, &fill->alone, FILL_ALONE_MS, on_alone, fill);
}

/* Bytes. */

static bool take(void *arg, struct str piece, struct error *err)
{
	struct blob_fill *fill = own(arg);

	if (piece.len > fill->view.size - fill->at)
		return error_set(err, ERROR_INTERNAL, NULL, "the object store sent more than it announced");
	if (!cache_file_write(fill->file, piece, fill->at, err)) {
		fill->not_kept = true;
		return false;
	}
	hasher_add(fill->hasher, piece.at, piece.len);
	fill->at += piece.len;
	publish_soon(fill);
	return true;
}

/* The first answer tells the size. */
static bool begin_file(struct blob_fill *fill, int64_t length)
{
	struct error err;

	bool kept = length >= 0 && cache_file_new(fill->filler->fills->cache, &fill->digest, (uint64_t)length,
					   &fill->file, &err);

	lock_take(lock_of(fill));
	fill->view.state = kept ? FILL_FLOWING : FILL_ASKING;
	fill->view.size = length > 0 ? (uint64_t)length : 0;
	fill->head_ms = clock_ms();
	lock_drop(lock_of(fill));
	if (!kept)
		return false;
	fill->hasher = hasher_new(fill->digest.alg);
	publish_soon(fill);
	return true;
}

static bool is_rest(const struct blob_fill *fill, const struct http_call *transfer)
{
	const char *header = http_headers_find(http_call_headers(transfer), "Content-Range");
	struct range found;
	uint64_t total;

	return http_call_status(transfer) == 206 &&
	       content_range_parse_answer(str_of(header), &found, &total) && found.first == fill->at &&
	       total == fill->view.size && found.last + 1 == total;
}

/* Empty, where something has that digest: it stands in for a blob, or was set aside. Who asks the bucket for its size is told. */
static bool is_hollow(const struct blob_fill *fill, const struct http_call *transfer)
{
	const struct digest nothing = digest_of(fill->digest.alg, STR(""));

	return http_call_length(transfer) == 0 && !digest_equal(&fill->digest, &nothing);
}

static void on_head(void *arg, struct http_call *transfer)
{
	struct blob_fill *fill = own(arg);
	bool first = !fill->file;

	if (first && http_call_status(transfer) == 404)
		end(fill, FILL_ABSENT);
	else if (first && (http_call_status(transfer) != 200 || is_hollow(fill, transfer) ||
				  !begin_file(fill, http_call_length(transfer))))
		end(fill, FILL_NOT_KEPT);
	else if (!first && !is_rest(fill, transfer))
		end(fill, FILL_FAILED);
	else
		http_call_take(transfer, take, fill);
}

static void finish(struct blob_fill *fill)
{
	struct digest found = digest_of_hasher(fill->digest.alg, fill->hasher);
	struct error err;

	if (!digest_equal(&found, &fill->digest)) {
		log_it(fill, "cache.wrong", "what the bucket has under this digest has another one");
		end(fill, FILL_WRONG);
		return;
	}
	/* Where it cannot be kept it is whole all the same, for those who have it open. */
	(void)!cache_file_keep(fill->file, &err);
	end(fill, FILL_WHOLE);
}

static void fetch(struct blob_fill *fill);

static void on_done(void *arg, const struct error *err)
{
	struct blob_fill *fill = own(arg);

	if (fill->ended)
		return;
	if (fill->not_kept) {
		end(fill, FILL_NOT_KEPT);
	} else if (fill->file && fill->at == fill->view.size) {
		finish(fill);
	} else {
		fill->resumes = fill->at > fill->resumed_at ? 0 : fill->resumes + 1;
		fill->resumed_at = fill->at;
		if (fill->file && fill->resumes < RESUMES) {
			fetch(fill);
			return;
		}
		log_it(fill, "cache.fill", err ? err->text : "the object store sent less than it announced");
		end(fill, FILL_FAILED);
	}
}

static void fetch(struct blob_fill *fill)
{
	const struct filler *filler = fill->filler;
	const struct blob_fetch_of of = { .loop = filler->loop,
		.client = filler->client,
		.store = filler->fills->store,
		.name = fill->name,
		.digest = fill->digest };
	char range[BLOB_RANGE_SIZE] = "";

	if (fill->file)
		blob_range_format(&(struct range){ fill->at, fill->view.size - 1 }, range);
	blob_fetch_start(&fill->fetch, &of, range,
		(struct blob_fetch_events){ .arg = fill, .on_head = on_head, .on_done = on_done });
}

static void begin(void *arg)
{
	struct blob_fill *fill = own(arg);

	if (!fill->ended)
		fetch(fill);
}

/* ---- the table ---- */

static struct filler *idlest_locked(struct blob_fills *fills)
{
	struct filler *idlest = &fills->fillers[0];

	for (unsigned i = 1; i < fills->fillers_len; i++)
		if (fills->fillers[i].busy < idlest->busy)
			idlest = &fills->fillers[i];
	return idlest;
}

static struct blob_fill *new_fill_locked(struct blob_fills *fills, const struct fill_ask *ask)
{
	struct blob_fill *fill = xnew(struct blob_fill);

	fill->magic = FILL_MAGIC;
	fill->filler = idlest_locked(fills);
	fill->filler->busy++;
	fill->refs = 1;
	list_init(&fill->readers);
	fill->name = ask->name;
	fill->digest = ask->digest;
	fill->mark = ask->mark;
	(void)map_put(fills->running, key_of(&ask->digest), fill);
	loop_post(fill->filler->loop, begin, fill);
	return fill;
}

struct fill_reader *blob_fills_read(struct blob_fills *fills, const struct fill_ask *ask, bool *ret_began)
{
	struct fill_reader *reader = NULL;
	struct blob_fill *fill;

	*ret_began = false;
	loop_assert(ask->loop);
	lock_take(&fills->lock);
	fill = map_find(fills->running, key_of(&ask->digest));
	/* A fill that ends has its entry before it leaves the table. */
	if (!fill && ask->may_begin && map_len(fills->running) < FILLS_MAX &&
		!blob_cache_has(fills->cache, &ask->digest)) {
		fill = new_fill_locked(fills, ask);
		*ret_began = true;
	}
	if (fill) {
		reader = xnew(struct fill_reader);
		*reader = (struct fill_reader){ .magic = READER_MAGIC,
			.fill = fill,
			.loop = ask->loop,
			.wake = ask->wake,
			.arg = ask->arg };
		fill->refs++;
		fill->readers_len++;
		list_push(&fill->readers, &reader->in_fill);
	}
	lock_drop(&fills->lock);
	return reader;
}

/* ---- life ---- */

static void *run_filler(void *arg)
{
	struct filler *filler = arg;

	loop_run(filler->loop);
	return NULL;
}

static bool start_filler(struct blob_fills *fills, unsigned at, struct error *err)
{
	const struct http_client_settings settings = { 0 };
	struct filler *filler = &fills->fillers[at];

	filler->fills = fills;
	fills->fillers_len = at + 1;
	if (!loop_new(&filler->loop, "filler", err) ||
		!http_client_new(&filler->client, filler->loop, &settings, err))
		return false;
	CHECK(!pthread_create(&filler->thread, NULL, run_filler, filler));
	filler->runs = true;
	return true;
}

bool blob_fills_new(struct blob_fills **ret, struct store *store, struct blob_cache *cache, unsigned threads,
	struct error *err)
{
	AUTO(blob_fills) *fills = xnew(struct blob_fills);

	fills->store = store;
	fills->cache = cache;
	lock_init(&fills->lock);
	fills->running = map_new();
	threads = threads < FILLERS_MAX ? threads : FILLERS_MAX;
	for (unsigned i = 0; i < threads; i++)
		if (!start_filler(fills, i, err))
			return false;
	*ret = TAKE(fills);
	return true;
}

/* Nobody runs any more: what is under way ends here. */
static void end_all(struct blob_fills *fills)
{
	void *fill;

	for (size_t at = 0; map_next(fills->running, &at, NULL, &fill);)
		end(fill, FILL_NOT_KEPT);
}

void blob_fills_free(struct blob_fills *fills)
{
	if (!fills)
		return;
	for (unsigned i = 0; i < fills->fillers_len; i++) {
		if (!fills->fillers[i].runs)
			continue;
		loop_stop(fills->fillers[i].loop);
		(void)pthread_join(fills->fillers[i].thread, NULL);
	}
	end_all(fills);
	for (unsigned i = 0; i < fills->fillers_len; i++) {
		struct filler *filler = &fills->fillers[i];
		if (filler->loop)
			(void)loop_drain(filler->loop);
		http_client_free(filler->client);
		loop_free(filler->loop);
	}
	map_free(fills->running);
	lock_fini(&fills->lock);
	free(fills);
}

struct blob_fills_stats blob_fills_stats(struct blob_fills *fills)
{
	struct blob_fills_stats stats;

	lock_take(&fills->lock);
	stats = (struct blob_fills_stats){
		.running = map_len(fills->running), .failed = fills->failed, .wrong = fills->wrong
	};
	lock_drop(&fills->lock);
	return stats;
}
