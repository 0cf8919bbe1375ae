/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access - may this one do that to this repository, and what says so: zot's accessControl, from the settings
 * file or from the state's `policy` entities.
 *
 * A user is in the groups that the user's entity names, in those that name the user in the file (accessControl.groups), and in the `group`
 * entities that do: the three add up. adminPolicy is the file's and the state's `admin_policy`: both grant.
 *
 * Among all patterns that match the repository the longest one decides alone (byte length; ties: the
 * smaller text). Inside: any rule that names the user, then any that names one of their groups, then
 * defaultPolicy for the authenticated, anonymousPolicy for the anonymous (these do not inherit from
 * each other). Not granted: adminPolicy, and the role `admin`, grant everywhere. No policy at all:
 * the authenticated may do everything, the anonymous nothing, unless nobody is configured.
 * An API key's scopes narrow what its owner may do.
 *
 * detectManifestCollision allows nothing: who has it is kept from deleting, by digest, a manifest that several tags name. As in zot the
 * repository's rules give it, also its defaultPolicy and anonymousPolicy, but never to those whom adminPolicy names, nor to the role
 * `admin`. A key's scopes do not take it away, since it is a protection; a scope may give it.
 *
 * Every answer comes from access_decide(), also the worker's own when it serves: an explanation cannot say anything else.
 *
 * Metrics have rules of their own, as in zot: accessControl.metrics.users, and anonymousPolicy ["read"] for the anonymous.
 * With an accessControl in the file nobody else may; without one the authenticated may, and all where nobody is configured.
 * Thread  any; immutable, counted.
 */
#pragma once

#include "common/json.h"
#include "proto/state.h"

enum action { ACTION_READ, ACTION_CREATE, ACTION_UPDATE, ACTION_DELETE, ACTION_DETECT_COLLISION };
bool        action_parse(struct str name, enum action *ret) MUST_CHECK; /* "read" and so on, as policies have them */
const char *action_name(enum action action);

/* Who asks: a plain value, its texts are borrowed. */
struct access_who {
	const char *user;         /* "" when anonymous */
	struct texts groups;      /* those that they say themselves */
	const struct state *state; /* whose group entities name users too; NULL: none do */
	const struct entity *key; /* the API key that was used, or NULL */
	bool key_unknown;         /* one was used that is not known here */
	bool anonymous, admin;    /* admin: has the role */
};

struct access;
/* file: the accessControl object of the settings, or NULL; state: may be empty. Both add up. open: nobody is
 * configured, so without any policy everybody may do everything. */
bool access_new(struct access **ret_access, const struct json *file, const struct state *state, bool open,
		struct error *err) MUST_CHECK;
/* The rules of `old`, with the policies of this state in the place of its own: for a few that changed it shares the others and costs next to
 * nothing. NULL: it is to be made anew, since more changed since that was done last, or because the settings file has policies of repositories. */
struct access *access_new_over(struct access *old, const struct state *state) MUST_CHECK;
struct access *access_ref(struct access *access);
void access_free(struct access *access); /* drops a reference */
AUTO_DEFINE(access)

/* Has it the policies of this state? Then it need not be made again, whatever else the state's change was. */
bool access_obeys(const struct access *access, const struct state *state);
/* Is the user in it by what the user says, or by a group entity of who->state? The file's groups are access_decide()'s affair. */
bool access_is_in_group(const struct access_who *who, struct str group);

enum access_by {
	ACCESS_BY_SCOPES,           /* the API key's */
	ACCESS_BY_ROLE,             /* admin */
	ACCESS_BY_NO_POLICIES,      /* there are none at all */
	ACCESS_BY_RULE,             /* rule `rule` of `policy` */
	ACCESS_BY_DEFAULT_POLICY,   /* of `policy` */
	ACCESS_BY_ANONYMOUS_POLICY, /* of `policy` */
	ACCESS_BY_NO_RULE,          /* nothing of `policy` allows it */
	ACCESS_BY_NO_PATTERN,       /* no policy is for the repository */
	ACCESS_BY_ADMIN_POLICY,
};

/* A plain value; its texts are the rules' and the key's. */
struct access_decision {
	bool allowed;
	enum access_by by;
	const char *policy; /* the pattern of the policy that decided, "" when none did */
	bool of_file;       /* that one is the settings file's, else the state's */
	size_t rule;        /* its place in the policy's list */
	const char *scope;  /* the API key's scope that lets it through, "" when none does or it has none */
};
/* ACTION_DETECT_COLLISION: allowed means that the protection is there. */
struct access_decision access_decide(const struct access *access, const struct access_who *who, struct str name, enum action action);
/* May they read the metrics? The role `admin` may; a key with scopes may not. */
bool access_allows_metrics(const struct access *access, const struct access_who *who);
/* May they do everything everywhere? The role `admin`, whom adminPolicy gives all four actions, and without any policy the authenticated. Never the anonymous,
 * nor a key with scopes. */
bool access_is_admin(const struct access *access, const struct access_who *who);
bool access_has_anonymous(const struct access *access); /* some repository is open to the anonymous */

/* For people. */
const char *access_by_name(enum access_by by);                              /* "default_policy" */
const char *access_decision_text(const struct access_decision *decision);   /* "no policy matches the repository" */
size_t access_policies(const struct access *access);                        /* how many were looked at, adminPolicy among them */
/* Each policy whose pattern matches the repository, the longest first but for a name without a wildcard, which comes at the beginning. */
typedef void access_match_f(void *arg, const char *policy, bool of_file, bool decides);
void access_each_match(const struct access *access, struct str name, access_match_f *fn, void *arg);
