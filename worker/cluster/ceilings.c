/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/ceilings.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/crypto.h"
#include "common/file.h"
#include "common/map.h"
#include "worker/cluster/data_file.h"

#define WORD        "zot ceilings "
#define FORMAT      2
#define HEAD        WORD "2 "
#define HEAD_BEFORE WORD "1 "
#define WHOLE_FROM                                                                                           \
	(1024u * 1024) /* a file is written whole when it has so much, and four times what it began with */
#define CEILING_LINE 512u
#define SUM_LEN      16

struct ceilings {
	char *path;
	char *boot;
	int fd;
	uint64_t size, begun_with;
};

void ceiling_list_free(struct ceiling *list, size_t len)
{
	for (size_t i = 0; i < len; i++)
		free(list[i].apikey);
	free(list);
}

struct ceilings *ceilings_new(const char *path, const char *boot)
{
	struct ceilings *ceilings = xnew(struct ceilings);

	ceilings->path = check_strdup(path);
	ceilings->boot = check_strdup(boot);
	ceilings->fd = -1;
	return ceilings;
}

static void close_file(struct ceilings *ceilings)
{
	if (ceilings->fd >= 0)
		(void)close(ceilings->fd);
	ceilings->fd = -1;
	ceilings->size = 0;
}

void ceilings_free(struct ceilings *ceilings)
{
	if (!ceilings)
		return;
	close_file(ceilings);
	free(ceilings->path);
	free(ceilings->boot);
	free(ceilings);
}

/* The boot is under it too: lines of another file are no lines of ours. */
static void format_sum(const char *boot, struct str rest, char into[SUM_LEN + 1])
{
	static const uint8_t key[16] = "zot ceilings 1";
	AUTO_FINI(buf) text = buf_limit(CEILING_LINE + CEILINGS_BOOT_SIZE);

	buf_format(&text, "%s ", boot);
	buf_add(&text, rest);
	(void)snprintf(into, SUM_LEN + 1, "%016" PRIx64, siphash24(key, text.at, text.len));
}

static void put_line(struct buf *into, const char *boot, const struct ceiling *ceiling)
{
	AUTO_FINI(buf) rest = buf_limit(CEILING_LINE);
	char sum[SUM_LEN + 1];

	buf_format(&rest, "%s %" PRIu64 " ", ceiling->day, ceiling->used);
	buf_base64(&rest, ceiling->apikey, strlen(ceiling->apikey));
	CHECK(!rest.failed);
	format_sum(boot, buf_str(&rest), sum);
	buf_format(into, "%s %s\n", sum, buf_text(&rest));
}

static bool check_size(const struct buf *text, struct error *err)
{
	return buf_check(text, "the ceilings", err);
}

static bool reopen(struct ceilings *ceilings, uint64_t size, struct error *err)
{
	close_file(ceilings);
	ceilings->fd = open(ceilings->path, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (ceilings->fd < 0)
		return error_sys(err, "open %s", ceilings->path);
	ceilings->size = ceilings->begun_with = size;
	return true;
}

bool ceilings_wants_all(const struct ceilings *ceilings)
{
	return ceilings->fd < 0 || (ceilings->size > WHOLE_FROM && ceilings->size > 4 * ceilings->begun_with);
}

bool ceilings_write(struct ceilings *ceilings, const struct ceiling *list, size_t len, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(CEILINGS_MAX);

	buf_format(&text, HEAD "%s\n", ceilings->boot);
	for (size_t i = 0; i < len; i++)
		put_line(&text, ceilings->boot, &list[i]);
	return check_size(&text, err) && file_write_durable(ceilings->path, buf_str(&text), 0600, err) &&
	       reopen(ceilings, text.len, err);
}

bool ceilings_append(struct ceilings *ceilings, const struct ceiling *list, size_t len, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(CEILINGS_MAX);

	for (size_t i = 0; i < len; i++)
		put_line(&text, ceilings->boot, &list[i]);
	if (!check_size(&text, err))
		return false;
	if (!file_write_all(ceilings->fd, text.at, text.len, err) || fdatasync(ceilings->fd) != 0)
		return error_sys(err, "write %s", ceilings->path);
	ceilings->size += text.len;
	return true;
}

bool ceilings_remove(struct ceilings *ceilings, struct error *err)
{
	close_file(ceilings);
	return unlink(ceilings->path) == 0 || errno == ENOENT || error_sys(err, "remove %s", ceilings->path);
}

/* ---- reading ---- */

struct loading {
	struct map *map; /* "<day> <key>" -> struct ceiling * */
	const char *boot;
	size_t bad; /* lines that were passed over since the last good one */
};

static bool parse_line(const char *boot, struct str line, struct ceiling *ret)
{
	AUTO_FINI(buf) key = buf_limit(CEILING_LINE);
	struct str sum, day;
	char wanted[SUM_LEN + 1];

	if (line.len > CEILING_LINE || !str_until(&line, ' ', &sum))
		return false;
	format_sum(boot, line, wanted);
	if (!str_is(sum, wanted) || !str_until(&line, ' ', &day) ||
		!str_copy(day, ret->day, sizeof(ret->day)))
		return false;
	if (!str_number(&line, UINT64_MAX, &ret->used) || !str_skip(&line, " ") || !buf_unbase64(&key, line))
		return false;
	ret->apikey = check_strdup(buf_text(&key));
	return true;
}

static bool load_line(struct loading *loading, struct str line, struct error *err)
{
	AUTO_FINI(buf) name = buf_limit(CEILING_LINE);
	struct ceiling *ceiling = xnew(struct ceiling);

	if (!parse_line(loading->boot, line, ceiling)) {
		free(ceiling);
		loading->bad++;
		return true;
	}
	buf_format(&name, "%s %s", ceiling->day, ceiling->apikey);
	struct ceiling *before = map_put(loading->map, buf_str(&name), ceiling);
	ceiling_list_free(before, before != NULL);
	if (loading->bad)
		return error_set(err, ERROR_INVALID, NULL, "a line before the last ones is damaged");
	return true;
}

static void hand_over(struct loading *loading, struct ceiling **ret_list, size_t *ret_len)
{
	struct ceiling *list = xnew_array(struct ceiling, map_len(loading->map) + 1);
	size_t len = 0;
	void *value;

	for (size_t at = 0; map_next(loading->map, &at, NULL, &value);) {
		list[len++] = *(struct ceiling *)value;
		free(value);
	}
	map_free(loading->map);
	*ret_list = list;
	*ret_len = len;
}

static bool load_head(struct str *rest, char ret_boot[CEILINGS_BOOT_SIZE], struct error *err)
{
	struct str line, head;
	uint64_t format;

	if (!str_until(rest, '\n', &line))
		line = STR_NONE;
	head = line;
	if (str_skip(&head, WORD) && str_number(&head, UINT64_MAX, &format) && format > FORMAT)
		return data_file_newer(format, FORMAT, err);
	if ((str_skip(&line, HEAD) || str_skip(&line, HEAD_BEFORE)) && line.len &&
		str_copy(line, ret_boot, CEILINGS_BOOT_SIZE))
		return true;
	return error_set(err, ERROR_INVALID, NULL, "the first line is not \"" HEAD "<boot>\"");
}

bool ceilings_load(const char *path, char ret_boot[CEILINGS_BOOT_SIZE], struct ceiling **ret_list,
	size_t *ret_len, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(CEILINGS_MAX);
	struct loading loading = { .map = map_new(), .boot = ret_boot };
	struct str rest, line;
	struct error why;
	bool ok = true;

	file_tighten(path);
	*ret_boot = '\0';
	if (!file_read(path, &text, &why)) {
		map_free(loading.map);
		if (why.kind != ERROR_UNKNOWN && err)
			*err = why;
		return why.kind == ERROR_UNKNOWN;
	}
	rest = buf_str(&text);
	ok = load_head(&rest, ret_boot, err);
	while (ok && str_until(&rest, '\n', &line))
		ok = load_line(&loading, line, err);
	if (ok && loading.bad && !map_len(loading.map))
		ok = error_set(err, ERROR_INVALID, NULL, "no line is one of this boot");
	hand_over(&loading, ret_list, ret_len);
	if (ok)
		return true;
	ceiling_list_free(*ret_list, *ret_len);
	*ret_list = NULL;
	*ret_len = 0;
	return error_add(err, "%s", path);
}
