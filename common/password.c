/* SPDX-License-Identifier: Apache-2.0 */
/*
 * password - libxcrypt's reentrant calls, with the kinds of hashes that we take named here.
 *
 * The form is looked at before crypt(3) runs: only these kinds, and costs that end in bounded time.
 */
#include "common/password.h"

#include <crypt.h>
#include <errno.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"

#define BCRYPT_COST_MIN 4
#define BCRYPT_COST_MAX 16
#define ROUNDS_MAX      1000000
#define ROUNDS_DEFAULT  5000
#define ROUNDS_OF_COST0 64 /* of sha-crypt: they take no longer than a bcrypt of cost 0 would */

static bool is_crypt_text(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.at[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
			c != '.' && c != '/')
			return false;
	}
	return s.len > 0;
}

/* What follows $2x$: two digits of cost, then 22 characters of salt and 31 of hash. */
static bool is_bcrypt_rest(struct str s)
{
	struct str cost;
	uint64_t n;

	return str_until(&s, '$', &cost) && cost.len == 2 && str_to_number(cost, BCRYPT_COST_MAX, &n) &&
	       n >= BCRYPT_COST_MIN && s.len == 53 && is_crypt_text(s);
}

/* What follows $5$ or $6$: rounds perhaps, up to 16 characters of salt, and the hash. The salt may be
 * of any characters but these. */
static bool is_sha_rest(struct str s, size_t hash_len)
{
	struct str salt, rounds;
	uint64_t n;

	if (str_skip(&s, "rounds=") &&
		(!str_until(&s, '$', &rounds) || !str_to_number(rounds, ROUNDS_MAX, &n) || n < 1000))
		return false;
	if (!str_until(&s, '$', &salt) || salt.len > 16)
		return false;
	for (size_t i = 0; i < salt.len; i++) {
		if (salt.at[i] <= ' ' || salt.at[i] == 0x7f || salt.at[i] == ':' || salt.at[i] == '*' ||
			salt.at[i] == '!')
			return false;
	}
	return s.len == hash_len && is_crypt_text(s);
}

bool password_is_hash(struct str hash)
{
	if (hash.len >= PASSWORD_HASH_MAX)
		return false;
	if (str_skip(&hash, "$2a$") || str_skip(&hash, "$2b$") || str_skip(&hash, "$2y$"))
		return is_bcrypt_rest(hash);
	if (str_skip(&hash, "$5$"))
		return is_sha_rest(hash, 43);
	return str_skip(&hash, "$6$") && is_sha_rest(hash, 86);
}

/* The terminated copy that crypt(3) wants; false for what it cannot take as given. */
static bool copy_password(struct str password, char into[PASSWORD_MAX + 1])
{
	return !(password.len && memchr(password.at, '\0', password.len)) &&
	       str_copy(password, into, PASSWORD_MAX + 1);
}

static void wipe(void *at, size_t len)
{
	explicit_bzero(at, len);
}

/* struct crypt_data is 32 KiB: too much for the stack of a pool thread. */
static bool matches(const char *password, const char *hash)
{
	struct crypt_data *data = xnew(struct crypt_data);
	const char *got = crypt_rn(password, hash, data, (int)sizeof(*data));
	size_t len = strlen(hash);
	bool good = got && strlen(got) == len && equal_secret(got, hash, len);

	wipe(data, sizeof(*data));
	free(data);
	return good;
}

/* What it costs. */

static bool is_bcrypt(struct str hash)
{
	return str_starts(hash, "$2");
}

/* The text after $5$ or $6$. */
static uint64_t sha_rounds(struct str s)
{
	uint64_t n = ROUNDS_DEFAULT;

	if (str_skip(&s, "rounds="))
		(void)str_number(&s, ROUNDS_MAX, &n);
	return n;
}

static unsigned sha_cost(struct str s)
{
	uint64_t work = sha_rounds(s) / ROUNDS_OF_COST0;
	unsigned cost = BCRYPT_COST_MIN;

	while (cost < BCRYPT_COST_MAX && UINT64_C(1) << cost < work)
		cost++;
	return cost;
}

unsigned password_cost(struct str hash)
{
	uint64_t cost = 0;

	if (!password_is_hash(hash))
		return 0;
	if (!is_bcrypt(hash))
		return sha_cost(str_from(hash.at + 3, hash.len - 3));
	CHECK(str_to_number(str_from(hash.at + 4, 2), BCRYPT_COST_MAX, &cost));
	return (unsigned)cost;
}

/* One bcrypt for nobody. */
static void spend(const char *plain, unsigned cost)
{
	char setting[32];

	(void)snprintf(setting, sizeof(setting), "$2b$%02u$CwTycUXWue0Thq9StjUM0u", cost);
	(void)matches(plain, setting);
}

/* Each cost is twice the one before: those from `done` to below `cost` are together what is missing. */
static void spend_from(const char *plain, unsigned done, unsigned cost)
{
	for (unsigned at = done; at < cost; at++)
		spend(plain, at);
}

/*
 * What is left of a bcrypt of `cost` when something else took this long. The first half of it is one of the
 * cost below, and by its time the rest is measured: halves of halves as long as they fit, and a last fraction
 * of a millisecond that no bcrypt is short enough for.
 */
static void spend_rest(const char *plain, int64_t spent_us, unsigned cost)
{
	int64_t begin = clock_cpu_us(), part, end;

	spend(plain, --cost);
	part = clock_cpu_us() - begin;
	end = begin + 2 * part - spent_us;
	while (cost-- > BCRYPT_COST_MIN) {
		part /= 2;
		if (clock_cpu_us() + part <= end)
			spend(plain, cost);
	}
	while (clock_cpu_us() < end) {
	}
}

static bool matches_as(const char *plain, const char *hash, unsigned cost)
{
	int64_t begin = clock_cpu_us();
	unsigned own = password_cost(str_of(hash));

	if (own && matches(plain, hash))
		return true;
	if (!own)
		spend(plain, cost);
	else if (own < cost && is_bcrypt(str_of(hash)))
		spend_from(plain, own, cost);
	else if (own < cost)
		spend_rest(plain, clock_cpu_us() - begin, cost);
	return false;
}

bool password_verify(struct str password, struct str hash, unsigned cost)
{
	char plain[PASSWORD_MAX + 1], stored[PASSWORD_HASH_MAX];
	bool good;

	CHECK(cost >= BCRYPT_COST_MIN && cost <= BCRYPT_COST_MAX);
	if (!copy_password(password, plain))
		return false;
	if (!str_copy(hash, stored, sizeof(stored)))
		stored[0] = '\0';
	good = matches_as(plain, stored, cost);
	wipe(plain, sizeof(plain));
	return good;
}

static bool hash_plain(const char *plain, char into[PASSWORD_HASH_MAX], struct error *err)
{
	struct crypt_data *data = xnew(struct crypt_data);
	char salt[CRYPT_GENSALT_OUTPUT_SIZE];
	const char *hash = NULL;
	bool good;

	if (crypt_gensalt_rn("$2b$", PASSWORD_COST, NULL, 0, salt, (int)sizeof(salt)))
		hash = crypt_rn(plain, salt, data, (int)sizeof(*data));
	good = hash && str_copy(str_of(hash), into, PASSWORD_HASH_MAX);
	wipe(data, sizeof(*data));
	free(data);
	return good || error_sys(err, "hash a password");
}

/* A password of which bcrypt would not see the end is refused rather than cut in silence. */
bool password_hash(struct str password, char into[PASSWORD_HASH_MAX], struct error *err)
{
	char plain[PASSWORD_MAX + 1];
	bool good;

	if (password.len > PASSWORD_NEW_MAX)
		return error_set(err, ERROR_TOO_LARGE, NULL, "a password is over %d bytes", PASSWORD_NEW_MAX);
	if (!copy_password(password, plain))
		return error_set(err, ERROR_INVALID, NULL, "a password holds a NUL");
	good = hash_plain(plain, into, err);
	wipe(plain, sizeof(plain));
	return good;
}
