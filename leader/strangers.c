/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/strangers.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/few.h"
#include "common/http_server.h"
#include "common/lock.h"
#include "common/log.h"
#include "leader/leader.h"
#include "leader/state_log.h"

#define NAME_SIZE   256
#define SAY_MOST    10
#define SAY_SPAN_MS 60000

struct known {
	char name[NAME_SIZE], process[NAME_SIZE], url[NAME_SIZE];
	char why[HISTORY_TEXT_MAX + 1];
	struct history history;
	uint64_t revision;
	int64_t seen_ms, seen_wall_ms;
};

struct strangers {
	struct lock lock;
	struct known *known;
	size_t len;
	struct few said;
};

struct strangers *strangers_new(void)
{
	struct strangers *strangers = xnew(struct strangers);

	lock_init(&strangers->lock);
	strangers->known = xnew_array(struct known, STRANGERS_MAX);
	return strangers;
}

void strangers_free(struct strangers *strangers)
{
	if (!strangers)
		return;
	lock_fini(&strangers->lock);
	free(strangers->known);
	free(strangers);
}

/* What we say. */

struct history_claim strangers_claim(struct leader *leader, uint64_t revision, const char *digest)
{
	AUTO(state) *state = leader_state(leader);
	const char *replaces = leader->settings->replaces;
	struct history_claim claim = { .history = *state_history(state),
		.position = state_log_position(leader->log, revision, digest) };

	if (replaces)
		CHECK(str_copy(str_of(replaces), claim.replaces, sizeof(claim.replaces)));
	return claim;
}

void strangers_head(
	struct leader *leader, uint64_t revision, const char *digest, struct http_response *response)
{
	const struct history_claim claim = strangers_claim(leader, revision, digest);

	http_response_header(response, HISTORY_CLUSTER_HEADER, claim.history.cluster);
	http_response_headerf(response, HISTORY_GENERATION_HEADER, "%" PRIu64, claim.history.generation);
	if (*claim.replaces)
		http_response_header(response, HISTORY_REPLACES_HEADER, claim.replaces);
	http_response_header(response, HISTORY_POSITION_HEADER, history_position_name(claim.position));
}

/* Who they are. */

static const char *text_of(const char *text)
{
	return text ? text : "";
}

static void copy(const char *text, char into[NAME_SIZE])
{
	if (!str_copy(str_of(text_of(text)), into, NAME_SIZE))
		into[0] = '\0';
}

static struct known *find_locked(struct strangers *strangers, const char *process)
{
	lock_assert(&strangers->lock);
	for (size_t i = 0; i < strangers->len; i++)
		if (!strcmp(strangers->known[i].process, process))
			return &strangers->known[i];
	return NULL;
}

static struct known *room_locked(struct strangers *strangers)
{
	struct known *oldest = strangers->known;

	lock_assert(&strangers->lock);
	if (strangers->len < STRANGERS_MAX)
		return &strangers->known[strangers->len++];
	for (size_t i = 1; i < strangers->len; i++)
		if (strangers->known[i].seen_ms < oldest->seen_ms)
			oldest = &strangers->known[i];
	return oldest;
}

static void remember(struct strangers *strangers, const struct stranger *who, const char *why)
{
	struct known *known;
	bool say;

	lock_take(&strangers->lock);
	known = find_locked(strangers, text_of(who->process));
	if (!known)
		known = room_locked(strangers);
	*known = (struct known){ .history = who->history,
		.revision = who->revision,
		.seen_ms = clock_ms(),
		.seen_wall_ms = clock_wall_ms() };
	copy(who->name, known->name);
	copy(who->process, known->process);
	copy(who->url, known->url);
	CHECK(str_copy(str_of(why), known->why, sizeof(known->why)));
	say = few_take(&strangers->said, SAY_MOST, SAY_SPAN_MS, known->seen_ms);
	lock_drop(&strangers->lock);
	if (say)
		log_error("history.refused", "worker=%s what=%s", log_quote(str_of(text_of(who->name))),
			log_quote(str_of(why)));
}

static void drop_locked(struct strangers *strangers, struct known *known)
{
	lock_assert(&strangers->lock);
	*known = strangers->known[--strangers->len];
}

/* It follows now. */
static void forget(struct strangers *strangers, const char *process)
{
	struct known *known;

	lock_take(&strangers->lock);
	known = find_locked(strangers, text_of(process));
	if (known)
		drop_locked(strangers, known);
	lock_drop(&strangers->lock);
}

bool strangers_admit(struct leader *leader, const struct stranger *who, struct buf *why)
{
	const struct history_claim claim = strangers_claim(leader, who->revision, who->digest);
	enum history_verdict verdict = history_judge(&who->history, who->revision, &claim);

	if (verdict == HISTORY_FOLLOW) {
		forget(leader->strangers, who->process);
		return true;
	}
	history_explain(verdict, &who->history, who->revision, &claim, state_log_revision(leader->log), why);
	remember(leader->strangers, who, buf_text(why));
	return false;
}

/* Looking. */

static void drop_silent_locked(struct strangers *strangers)
{
	int64_t since_ms = clock_ms() - STRANGERS_SHOWN_MS;

	lock_assert(&strangers->lock);
	for (size_t i = strangers->len; i-- > 0;)
		if (strangers->known[i].seen_ms < since_ms)
			drop_locked(strangers, &strangers->known[i]);
}

static void put_known(const struct known *known, struct json_writer *w)
{
	char seen[CLOCK_RFC3339_SIZE];
	AUTO_FINI(buf) complaint = buf_limit(HISTORY_TEXT_MAX + 16);

	clock_rfc3339(known->seen_wall_ms, seen);
	buf_format(&complaint, "history: %s", known->why);
	json_open_object(w);
	json_put_text(w, "name", known->name);
	json_put_text(w, "process", known->process);
	json_put_text(w, "url", known->url);
	json_put_text(w, "cluster", known->history.cluster);
	json_put_uint(w, "generation", known->history.generation);
	json_put_uint(w, "revision", known->revision);
	json_put_text(w, "lastPush", seen);
	json_key(w, STR("complaints"));
	json_open_array(w);
	json_value_str(w, buf_str(&complaint));
	json_close_array(w);
	json_close_object(w);
}

void strangers_write(struct strangers *strangers, struct json_writer *w)
{
	lock_take(&strangers->lock);
	drop_silent_locked(strangers);
	json_open_array(w);
	for (size_t i = 0; i < strangers->len; i++)
		put_known(&strangers->known[i], w);
	json_close_array(w);
	lock_drop(&strangers->lock);
}

size_t strangers_count(struct strangers *strangers)
{
	size_t len;

	lock_take(&strangers->lock);
	drop_silent_locked(strangers);
	len = strangers->len;
	lock_drop(&strangers->lock);
	return len;
}
