/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/explain.h"

#include <stdio.h>

#include "common/check.h"
#include "proto/access.h"
#include "proto/entity_table.h"
#include "proto/name.h"
#include "worker/auth/htpasswd.h"
#include "worker/auth/snapshot_new.h"

enum { ALLOWED, REFUSED, WRONG_USE };

#define GROUPS_MAX ((size_t)64)
#define TEXT_MAX   ((size_t)64 * 1024)

/* Groups as they were given. */
struct groups {
	struct buf text; /* each ends with a NUL */
	const char *at[GROUPS_MAX];
	size_t len;
};

struct asking {
	const struct explain_question *question;
	struct snapshot *snapshot;
	struct name name;
	enum action action;
	struct groups groups;
};

static int wrong(const char *text)
{
	(void)fprintf(stderr, "zot-worker: access: %s\n", text);
	return WRONG_USE;
}

/* What is asked. */

static bool read_groups(const char *list, struct groups *into, struct error *err)
{
	struct str rest = str_of(list), one;
	size_t begins[GROUPS_MAX];

	while (str_next(&rest, ',', &one)) {
		if (into->len == GROUPS_MAX)
			return error_set(
				err, ERROR_TOO_LARGE, NULL, "--groups: at most %zu of them", GROUPS_MAX);
		begins[into->len++] = into->text.len;
		buf_add(&into->text, one);
		buf_putc(&into->text, '\0');
	}
	for (size_t i = 0; i < into->len; i++)
		into->at[i] = into->text.at + begins[i];
	return buf_check(&into->text, "--groups", err);
}

static bool read_question(struct asking *asking, struct error *err)
{
	const struct explain_question *question = asking->question;

	if (!question->repository || !question->action)
		return error_set(err, ERROR_INVALID, NULL, "--repository and --action are needed");
	if (question->key)
		return error_set(
			err, ERROR_INVALID, NULL, "--key: API keys are the leader's, settings have none");
	if (!name_parse(str_of(question->repository), &asking->name, err))
		return error_add(err, "--repository");
	if (!action_parse(str_of(question->action), &asking->action))
		return error_set(err, ERROR_INVALID, NULL, "--action: is one of %s", ENTITY_ACTIONS);
	return !question->groups || read_groups(question->groups, &asking->groups, err);
}

static bool open_snapshot(const struct worker_settings *settings, struct asking *asking, struct error *err)
{
	const struct snapshot_rules rules = { .access_control = settings->access_control,
		.htpasswd = settings->htpasswd,
		.certificates = settings->tls_ca };

	return snapshot_new_plain(&asking->snapshot, NULL, RING_NOBODY, &rules, false, err);
}

/* Who that is. */

enum login { LOGIN_TAKEN, LOGIN_IGNORED, LOGIN_UNKNOWN };

/* A certificate may name anybody. Where nobody has to log in, a login is not looked at. */
static bool find_login(const struct worker_settings *settings, const struct asking *asking, enum login *ret,
	struct error *err)
{
	AUTO(htpasswd) *htpasswd = NULL;
	AUTO_STR *hash = NULL;

	*ret = asking->snapshot->auth_required ? LOGIN_UNKNOWN : LOGIN_IGNORED;
	if (settings->tls_ca)
		*ret = LOGIN_TAKEN;
	if (!settings->htpasswd || !asking->question->user)
		return true;
	if (!htpasswd_open(&htpasswd, settings->htpasswd, err))
		return error_add(err, "http.auth.htpasswd.path");
	hash = htpasswd_find(htpasswd, str_of(asking->question->user));
	if (hash)
		*ret = LOGIN_TAKEN;
	return true;
}

static struct access_who who_of(const struct asking *asking, enum login login)
{
	if (!asking->question->user || login == LOGIN_IGNORED)
		return (struct access_who){ .user = "", .anonymous = true };
	return (struct access_who){ .user = asking->question->user,
		.groups = { (const char **)(uintptr_t)asking->groups.at, asking->groups.len } };
}

/* The answer. */

static void print_match(void *arg, const char *policy, bool of_file, bool decides)
{
	(void)arg;
	(void)of_file;
	(void)printf("matches: \"%s\"%s\n", policy, decides ? " decides" : "");
}

static void print_policy(const struct access_decision *decision)
{
	if (!*decision->policy)
		return;
	(void)printf("policy:  \"%s\"", decision->policy);
	if (decision->by == ACCESS_BY_RULE)
		(void)printf(", rule %zu", decision->rule);
	(void)putchar('\n');
}

static int decide(const struct asking *asking, enum login login)
{
	struct access_who who = who_of(asking, login);
	struct access_decision decision =
		access_decide(asking->snapshot->access, &who, name_str(&asking->name), asking->action);

	(void)printf("%s: %s\nreason:  %s\n", decision.allowed ? "allowed" : "refused",
		access_decision_text(&decision), access_by_name(decision.by));
	print_policy(&decision);
	access_each_match(asking->snapshot->access, name_str(&asking->name), print_match, NULL);
	return decision.allowed ? ALLOWED : REFUSED;
}

static int answer(const struct worker_settings *settings, const struct asking *asking)
{
	enum login login;
	struct error err;

	if (!find_login(settings, asking, &login, &err))
		return wrong(err.text);
	if (asking->question->user && login == LOGIN_UNKNOWN) {
		(void)puts("refused: the login is refused, whatever the policies say\nreason:  user_unknown");
		return REFUSED;
	}
	if (asking->question->user && login == LOGIN_IGNORED)
		(void)puts("note:    nobody can log in with these settings, so whoever asks is anonymous");
	return decide(asking, login);
}

int explain_run(const struct worker_settings *settings, const struct explain_question *question)
{
	struct asking asking = { .question = question, .groups = { .text = buf_limit(TEXT_MAX) } };
	struct error err;
	int status;

	if (settings->mode == MODE_WORKER)
		return wrong(
			"the leaders of this worker have its users and policies, and decide: ask one for "
			"GET /api/access?user=...&repository=...&action=...");
	if (!read_question(&asking, &err) || !open_snapshot(settings, &asking, &err))
		status = wrong(err.text);
	else
		status = answer(settings, &asking);
	snapshot_free(asking.snapshot);
	buf_fini(&asking.groups.text);
	return status;
}
