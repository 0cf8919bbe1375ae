/* SPDX-License-Identifier: Apache-2.0 */
/*
 * htpasswd - user to password hash, from a file that is read again when it changes.
 *
 * Lines of user:hash; empty lines and those that begin with '#' are passed over. Hashes are bcrypt or
 * SHA-256/512 crypt; any other (MD5, SHA1, plain) is an error that names the line. At most 1 MiB.
 * A changed file that is wrong leaves the old one in force, with a warning in the log.
 * Thread  any.
 */
#pragma once

#include "common/error.h"
#include "common/str.h"

struct htpasswd;
bool htpasswd_open(struct htpasswd **ret_htpasswd, const char *path, struct error *err) MUST_CHECK;
void htpasswd_free(struct htpasswd *htpasswd);
AUTO_DEFINE(htpasswd)
/* The hash of a user, a copy the caller frees; NULL when there is none. Looks at the file's time at
 * most once a second. */
char *htpasswd_find(struct htpasswd *htpasswd, struct str user);
/* password_cost() of the most expensive hash. */
unsigned htpasswd_cost(struct htpasswd *htpasswd);
