/* SPDX-License-Identifier: Apache-2.0 */
/*
 * told - what the log has of the API: who was refused and why, and who changed what.
 *
 *     request.refused status=403 reason=not_admin user="bob" apikey="" from=192.0.2.1 method=GET path="/api/user"
 *     entity.written how=patched kind=user id="ann" members="enabled,groups" revision=17 by="admin" apikey="" from=192.0.2.1
 *
 * reason is a word of proto/login_refusal.h, or not_admin, a_reader, a_key_manager, apikey_has_scopes, a_worker, not_a_worker,
 * no_csrf, session_over, logins_limit. Lines of refusals are few for each address and in all (leader.c); the sweep tells how many were not written.
 * from is the client: whoever is connected, or, behind ZOT_TRUSTED_PROXIES, whom these tell of.
 * The audit counts refusals too (leader/refusals.h).
 */
#pragma once

#include "leader/api/call.h"

/* Loop. 401, 403 or 429 is about to be answered; how it ended is in call->who. */
void told_refused(const struct api_call *call, unsigned status);
/* The same of a login that did not come as Authorization, but might have: as this. */
void told_refused_login(const struct api_call *call, const char *header, unsigned status);
/* Loop. All of the state goes out, with the hashes of secrets. */
void told_exported(const struct api_call *call, uint64_t revision);
/* Any. Who, from where and how, for a change of the job's; borrowed from the job. */
struct ledger_audit told_audit(const struct api_job *job, const char *how);
/* Any. " by=... apikey=... from=..." for the line of a change; borrowed until the thread asks again. */
const char *told_by(const struct api_job *job);
