/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/s3_credentials.h"

#include <inttypes.h>
#include <pthread.h>
#include <time.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/least.h"
#include "common/lock.h"
#include "common/log.h"
#include "s3/s3_metadata.h"
#include "s3/s3_sts.h"

#define EARLY_MS     (15 * 60 * INT64_C(1000))
#define AGAIN_MS     1000
#define AGAIN_MAX_MS 60000
#define LOOK_MS      60000 /* the longest wait at once: the kernel's clock may stand still meanwhile */
#define NEVER        INT64_MAX
#define FAILURES_MAX 16

struct s3_credentials {
	struct s3_identity identity; /* its texts are owned */
	char *texts[20];
	size_t texts_len;
	char *region;
	char source[sizeof((struct s3_plan *)NULL)->name];
	bool renews;

	struct lock lock;
	pthread_cond_t changed; /* whatever is below */
	struct s3_lent *lent;   /* the last, good or not; NULL: none yet */
	int64_t due_ms;         /* when others are asked for; NEVER */
	int64_t refused_ms;     /* when that was last believed */
	uint64_t rounds;        /* asked, with whatever end */
	unsigned failures;      /* in a row */
	struct error why;       /* of the last */
	bool told_end;
	bool started, stopping;
	pthread_t thread;
};

/* ---- life ---- */

static const char *keep(struct s3_credentials *credentials, const char *text)
{
	if (!text)
		return NULL;
	CHECK(credentials->texts_len < sizeof(credentials->texts) / sizeof(credentials->texts[0]));
	return credentials->texts[credentials->texts_len++] = check_strdup(text);
}

static void keep_identity(struct s3_credentials *c, const struct s3_identity *from)
{
	c->identity = *from;
	c->identity.access_key = keep(c, from->access_key);
	c->identity.secret_key = keep(c, from->secret_key);
	c->identity.session_token = keep(c, from->session_token);
	c->identity.profile = keep(c, from->profile);
	c->identity.credentials_file = keep(c, from->credentials_file);
	c->identity.config_file = keep(c, from->config_file);
	c->identity.home = keep(c, from->home);
	c->identity.token_file = keep(c, from->token_file);
	c->identity.role = keep(c, from->role);
	c->identity.role_session = keep(c, from->role_session);
	c->identity.sts_endpoint = keep(c, from->sts_endpoint);
	c->identity.container_path = keep(c, from->container_path);
	c->identity.container_url = keep(c, from->container_url);
	c->identity.container_token = keep(c, from->container_token);
	c->identity.container_token_file = keep(c, from->container_token_file);
	c->identity.metadata_url = keep(c, from->metadata_url);
	c->identity.ca_file = keep(c, from->ca_file);
}

static void lent_free(struct s3_lent *lent)
{
	explicit_bzero(&lent->loan, sizeof lent->loan);
	free(lent);
}

/* Takes over the place of those before. */
static void install_locked(struct s3_credentials *credentials, const struct s3_loan *loan, int64_t asked_ms)
{
	struct s3_lent *lent = xnew(struct s3_lent), *before = credentials->lent;

	lent->refs = 1;
	lent->number = before ? before->number + 1 : 1;
	lent->ends_ms = loan->ends ? asked_ms + loan->left_ms : NEVER;
	lent->loan = *loan;
	credentials->lent = lent;
	if (before && !--before->refs)
		lent_free(before);
}

bool s3_credentials_new(struct s3_credentials **ret, const struct s3_identity *identity, const char *region,
	struct error *err)
{
	AUTO(s3_credentials) *credentials = xnew(struct s3_credentials);
	AUTO_FINI(buf) url = buf_limit(4096);
	struct s3_plan plan;

	lock_init(&credentials->lock);
	CHECK(!pthread_cond_init(&credentials->changed, NULL));
	credentials->due_ms = NEVER;
	if (!s3_identity_plan(identity, &plan, err))
		return false;
	keep_identity(credentials, identity);
	credentials->region = check_strdup(region);
	credentials->renews = plan.renews;
	memcpy(credentials->source, plan.name, sizeof plan.name);
	if (!plan.renews) {
		lock_take(&credentials->lock);
		install_locked(credentials, &plan.keys, 0);
		lock_drop(&credentials->lock);
	}
	explicit_bzero(&plan.keys, sizeof plan.keys);
	if (plan.source == S3_SOURCE_CONTAINER && !s3_metadata_container_url(identity, &url, err))
		return false;
	buf_clear(&url);
	if ((plan.source == S3_SOURCE_TOKEN || plan.n) && !s3_sts_endpoint(identity, region, &url, err))
		return false;
	*ret = TAKE(credentials);
	return true;
}

void s3_credentials_free(struct s3_credentials *credentials)
{
	if (!credentials)
		return;
	lock_take(&credentials->lock);
	credentials->stopping = true;
	pthread_cond_broadcast(&credentials->changed);
	lock_drop(&credentials->lock);
	if (credentials->started)
		(void)pthread_join(credentials->thread, NULL);
	if (credentials->lent)
		lent_free(credentials->lent);
	for (size_t i = 0; i < credentials->texts_len; i++) {
		explicit_bzero(credentials->texts[i], strlen(credentials->texts[i]));
		free(credentials->texts[i]);
	}
	free(credentials->region);
	pthread_cond_destroy(&credentials->changed);
	lock_fini(&credentials->lock);
	free(credentials);
}

/* ---- asking ---- */

static bool take_source(const struct s3_credentials *credentials, const struct s3_plan *plan,
	struct s3_loan *ret, struct error *err)
{
	const struct s3_identity *identity = &credentials->identity;

	switch (plan->source) {
	case S3_SOURCE_KEYS:
		*ret = plan->keys;
		return true;
	case S3_SOURCE_TOKEN:
		return s3_sts_take_token(
			identity, credentials->region, &plan->token_role, plan->token_file, ret, err);
	case S3_SOURCE_CONTAINER:
		return s3_metadata_take_container(identity, ret, err);
	case S3_SOURCE_METADATA:
		return s3_metadata_take_machine(identity, ret, err);
	}
	return error_set(err, ERROR_INTERNAL, NULL, "source of keys");
}

/* All of it anew: files may say something else now. */
static bool ask(const struct s3_credentials *credentials, struct s3_loan *ret, struct error *err)
{
	struct s3_plan plan;
	struct s3_loan loan = { .ends = false }, next = loan;
	bool ok = s3_identity_plan(&credentials->identity, &plan, err) &&
		  take_source(credentials, &plan, &loan, err);

	for (size_t i = 0; ok && i < plan.n; i++) {
		ok = s3_sts_take_role(
			&credentials->identity, credentials->region, &plan.roles[i], &loan, &next, err);
		if (ok)
			loan = next;
	}
	if (ok)
		*ret = loan;
	explicit_bzero(&plan, sizeof plan);
	explicit_bzero(&loan, sizeof loan);
	explicit_bzero(&next, sizeof next);
	return ok;
}

static int64_t early_ms(const struct s3_loan *loan)
{
	int64_t early = loan->left_ms / 3 < EARLY_MS ? loan->left_ms / 3 : EARLY_MS;

	/* Many workers were started at once. */
	return early + (int64_t)random_below((uint64_t)early / 10 + 1);
}

/* Keys of a file are the same again mostly. */
static bool is_same_locked(const struct s3_credentials *credentials, const struct s3_loan *loan)
{
	const struct s3_lent *lent = credentials->lent;

	return lent && !strcmp(lent->loan.access_key, loan->access_key) &&
	       !strcmp(lent->loan.secret_key, loan->secret_key) &&
	       !strcmp(lent->loan.session_token, loan->session_token);
}

static void succeed_locked(struct s3_credentials *credentials, const struct s3_loan *loan, int64_t asked_ms)
{
	bool same = is_same_locked(credentials, loan);

	if (!same || loan->ends)
		install_locked(credentials, loan, asked_ms);
	credentials->due_ms = loan->ends ? asked_ms + loan->left_ms - early_ms(loan) : NEVER;
	/* A source that gives the old ones on for a while is asked again, calmly. */
	if (loan->ends && credentials->due_ms < asked_ms + AGAIN_MS)
		credentials->due_ms = asked_ms + AGAIN_MS;
	if (!same || credentials->failures)
		log_info("s3.credentials", "source=%s access_key=%s left_s=%" PRId64,
			log_quote(str_of(credentials->source)), log_quote(str_of(loan->access_key)),
			loan->ends ? loan->left_ms / 1000 : -1);
	credentials->failures = 0;
	credentials->told_end = false;
}

static bool is_good_locked(const struct s3_credentials *credentials)
{
	return credentials->lent && clock_ms() < credentials->lent->ends_ms;
}

static void fail_locked(struct s3_credentials *credentials, const struct error *why)
{
	int64_t pause = AGAIN_MS << least(credentials->failures, 6);
	bool good = is_good_locked(credentials);

	credentials->why = *why;
	if (!credentials->failures || (!good && !credentials->told_end)) {
		credentials->told_end = !good;
		log_line(good ? LOG_WARN : LOG_ERROR, "s3.credentials", "source=%s good=%s error=%s",
			log_quote(str_of(credentials->source)), good ? "true" : "false",
			log_quote(str_of(why->text)));
	}
	if (credentials->failures < FAILURES_MAX)
		credentials->failures++;
	if (pause > AGAIN_MAX_MS)
		pause = AGAIN_MAX_MS;
	/* Not long after the end of what we have. */
	if (good && pause > credentials->lent->ends_ms - clock_ms() + AGAIN_MS)
		pause = AGAIN_MS;
	credentials->due_ms = clock_ms() + pause / 2 + (int64_t)random_below((uint64_t)pause / 2 + 1);
}

static void ask_locked(struct s3_credentials *credentials)
{
	struct s3_loan loan;
	struct error why;
	int64_t asked_ms = clock_ms();
	bool ok;

	lock_drop(&credentials->lock);
	ok = ask(credentials, &loan, &why);
	lock_take(&credentials->lock);
	if (ok) {
		succeed_locked(credentials, &loan, asked_ms);
		explicit_bzero(&loan, sizeof loan);
	} else {
		fail_locked(credentials, &why);
	}
	credentials->rounds++;
	pthread_cond_broadcast(&credentials->changed);
}

/* False: so long. */
static bool wait_locked(struct s3_credentials *credentials, int64_t ms)
{
	struct timespec end;

	CHECK(!clock_gettime(CLOCK_REALTIME, &end));
	ms = ms < 0 ? 0 : ms > LOOK_MS ? LOOK_MS : ms;
	end.tv_sec += (time_t)(ms / 1000);
	end.tv_nsec += (long)(ms % 1000) * 1000000;
	if (end.tv_nsec >= 1000000000) {
		end.tv_sec++;
		end.tv_nsec -= 1000000000;
	}
	return lock_wait_until(&credentials->lock, &credentials->changed, &end);
}

static void *run(void *arg)
{
	struct s3_credentials *credentials = arg;

	lock_take(&credentials->lock);
	while (!credentials->stopping) {
		int64_t now = clock_ms();

		if (now >= credentials->due_ms)
			ask_locked(credentials);
		else
			(void)wait_locked(credentials,
				credentials->due_ms == NEVER ? LOOK_MS : credentials->due_ms - now);
	}
	lock_drop(&credentials->lock);
	return NULL;
}

static void start_locked(struct s3_credentials *credentials)
{
	if (credentials->started || !credentials->renews)
		return;
	credentials->due_ms = clock_ms();
	if (pthread_create(&credentials->thread, NULL, run, credentials) != 0) {
		(void)error_set(&credentials->why, ERROR_UNAVAILABLE, NULL, "no thread to ask for them");
		return;
	}
	(void)pthread_setname_np(credentials->thread, "s3-credentials");
	credentials->started = true;
}

/* ---- who needs them ---- */

const struct s3_lent *s3_credentials_now(struct s3_credentials *credentials, struct error *err)
{
	struct s3_lent *lent = NULL;

	lock_take(&credentials->lock);
	start_locked(credentials);
	if (is_good_locked(credentials)) {
		lent = credentials->lent;
		lent->refs++;
	} else {
		(void)error_set(err, ERROR_UNAVAILABLE, NULL, "%s keys for S3 from %s: %s",
			credentials->lent ? "no more" : "no", credentials->source,
			credentials->failures ? credentials->why.text : "they were not asked for yet");
	}
	lock_drop(&credentials->lock);
	return lent;
}

void s3_credentials_drop(struct s3_credentials *credentials, const struct s3_lent *lent)
{
	union {
		const struct s3_lent *borrowed;
		struct s3_lent *counted;
	} p = { lent };
	bool last;

	lock_take(&credentials->lock);
	last = !--p.counted->refs;
	lock_drop(&credentials->lock);
	if (last)
		lent_free(p.counted);
}

/* While they are being asked for: until the answer is there, or so long. */
static void await_locked(struct s3_credentials *credentials, int64_t ms)
{
	int64_t end_ms = clock_ms() + ms;
	uint64_t rounds = credentials->rounds;

	while (credentials->started && !credentials->stopping && credentials->rounds == rounds &&
		credentials->due_ms <= clock_ms() && clock_ms() < end_ms)
		(void)wait_locked(credentials, end_ms - clock_ms());
}

void s3_credentials_await(struct s3_credentials *credentials, int64_t ms)
{
	lock_take(&credentials->lock);
	start_locked(credentials);
	if (!is_good_locked(credentials))
		await_locked(credentials, ms);
	lock_drop(&credentials->lock);
}

bool s3_credentials_are_good(struct s3_credentials *credentials)
{
	bool good;

	lock_take(&credentials->lock);
	good = is_good_locked(credentials);
	lock_drop(&credentials->lock);
	return good;
}

static bool is_newest_locked(const struct s3_credentials *credentials, uint64_t number)
{
	return credentials->started && credentials->lent && credentials->lent->number == number;
}

/* The store refuses the newest: others are asked for, unless they just were. */
static void believe_locked(struct s3_credentials *credentials)
{
	int64_t now = clock_ms();

	if (credentials->refused_ms && now - credentials->refused_ms < S3_CREDENTIALS_PAUSE_MS)
		return;
	credentials->refused_ms = now;
	credentials->due_ms = now;
	pthread_cond_broadcast(&credentials->changed);
}

static bool has_others_locked(const struct s3_credentials *credentials, uint64_t number)
{
	return is_good_locked(credentials) && credentials->lent->number != number;
}

bool s3_credentials_refused(struct s3_credentials *credentials, uint64_t number, int64_t ms)
{
	bool others;

	lock_take(&credentials->lock);
	if (is_newest_locked(credentials, number)) {
		believe_locked(credentials);
		await_locked(credentials, ms);
	}
	others = has_others_locked(credentials, number);
	lock_drop(&credentials->lock);
	return others;
}

enum s3_others s3_credentials_others(struct s3_credentials *credentials, uint64_t number, bool refused)
{
	enum s3_others found = S3_OTHERS_NONE;

	lock_take(&credentials->lock);
	if (refused && is_newest_locked(credentials, number))
		believe_locked(credentials);
	if (has_others_locked(credentials, number))
		found = S3_OTHERS_THERE;
	else if (credentials->started && credentials->due_ms <= clock_ms())
		found = S3_OTHERS_ASKED_FOR;
	lock_drop(&credentials->lock);
	return found;
}

const char *s3_credentials_source(const struct s3_credentials *credentials)
{
	return credentials->source;
}
