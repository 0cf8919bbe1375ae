/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/auth/htpasswd.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/map.h"
#include "common/password.h"

#define FILE_MAX      (1024 * 1024)
#define LOOK_EVERY_MS 1000

struct htpasswd {
	char *path;
	struct lock lock;
	struct map *users; /* name -> char *hash */
	unsigned cost;     /* of the most expensive */
	struct stat seen;
	int64_t looked_ms;
};

static void users_free(struct map *users)
{
	void *hash;

	for (size_t at = 0; users && map_next(users, &at, NULL, &hash);)
		free(hash);
	map_free(users);
}

static bool read_line(struct map *users, struct str line, struct error *err)
{
	struct str user, hash = line;

	if (!str_until(&hash, ':', &user) || !user.len)
		return error_set(err, ERROR_INVALID, NULL, "must be user:hash");
	if (!password_is_hash(hash))
		return error_set(err, ERROR_INVALID, NULL,
			"user %s: only bcrypt, SHA-256 and SHA-512 crypt hashes are accepted",
			log_quote(user));
	free(map_put(users, user, check_strndup(hash.at, hash.len)));
	return true;
}

static bool read_users(const char *path, struct map **ret_users, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(FILE_MAX);
	struct map *users;
	struct str rest, line;
	unsigned number = 0;

	if (!file_read(path, &text, err))
		return false;
	users = map_new();
	rest = buf_str(&text);
	while (rest.len) {
		if (!str_until(&rest, '\n', &line)) {
			line = rest;
			rest = STR_NONE;
		}
		number++;
		line = str_trim(line);
		if (!line.len || line.at[0] == '#' || read_line(users, line, err))
			continue;
		users_free(users);
		return error_add(err, "%s: line %u", path, number);
	}
	*ret_users = users;
	return true;
}

static unsigned most_expensive(const struct map *users)
{
	unsigned most = 0;
	void *hash;

	for (size_t at = 0; map_next(users, &at, NULL, &hash);) {
		unsigned cost = password_cost(str_of(hash));

		if (cost > most)
			most = cost;
	}
	return most;
}

bool htpasswd_open(struct htpasswd **ret_htpasswd, const char *path, struct error *err)
{
	struct htpasswd *htpasswd;
	struct map *users;
	struct stat seen;

	if (stat(path, &seen))
		return error_sys(err, "%s", path);
	if (!read_users(path, &users, err))
		return false;
	htpasswd = xnew(struct htpasswd);
	htpasswd->path = check_strdup(path);
	htpasswd->users = users;
	htpasswd->cost = most_expensive(users);
	htpasswd->seen = seen;
	htpasswd->looked_ms = clock_ms();
	lock_init(&htpasswd->lock);
	*ret_htpasswd = htpasswd;
	return true;
}

void htpasswd_free(struct htpasswd *htpasswd)
{
	if (!htpasswd)
		return;
	users_free(htpasswd->users);
	lock_fini(&htpasswd->lock);
	free(htpasswd->path);
	free(htpasswd);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void look_again_locked(struct htpasswd *htpasswd)
{
	struct map *users;
	struct stat seen;
	struct error err;

	lock_assert(&htpasswd->lock);
	htpasswd->looked_ms = clock_ms();
	if (stat(htpasswd->path, &seen) || is_same(&seen, &htpasswd->seen))
		return;
	htpasswd->seen = seen;
	if (!read_users(htpasswd->path, &users, &err)) {
		log_warn("htpasswd.reload", "error=%s the old one stays in force",
			log_quote(str_of(err.text)));
		return;
	}
	users_free(htpasswd->users);
	htpasswd->users = users;
	htpasswd->cost = most_expensive(users);
	log_info("htpasswd.reload", "users=%zu", map_len(users));
}

char *htpasswd_find(struct htpasswd *htpasswd, struct str user)
{
	const char *hash;
	char *copy;

	lock_take(&htpasswd->lock);
	if (clock_ms() - htpasswd->looked_ms >= LOOK_EVERY_MS)
		look_again_locked(htpasswd);
	hash = map_find(htpasswd->users, user);
	copy = hash ? check_strdup(hash) : NULL;
	lock_drop(&htpasswd->lock);
	return copy;
}

unsigned htpasswd_cost(struct htpasswd *htpasswd)
{
	unsigned cost;

	lock_take(&htpasswd->lock);
	cost = htpasswd->cost;
	lock_drop(&htpasswd->lock);
	return cost;
}
