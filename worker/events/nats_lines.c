/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/events/nats_lines.h"

#include <string.h>

#include "common/json.h"

#define PAYLOAD_MAX ((int64_t)64 * 1024 * 1024)

enum nats_word nats_line(struct str *bytes, struct str *ret)
{
	static const struct {
		const char *text;
		enum nats_word word;
	} words[] = { { "INFO", NATS_INFO }, { "PING", NATS_PING }, { "PONG", NATS_PONG }, { "+OK", NATS_OK },
		{ "-ERR", NATS_ERR } };
	const char *end = bytes->len ? memchr(bytes->at, '\n', bytes->len) : NULL;
	struct str line, word;
	size_t len;

	if (!end)
		return bytes->len < NATS_LINE_MAX ? NATS_MORE : NATS_WRONG;
	line = str_from(bytes->at, (size_t)(end - bytes->at));
	*bytes = str_from(end + 1, bytes->len - line.len - 1);
	if (line.len > NATS_LINE_MAX)
		return NATS_WRONG;
	line = str_trim(line);
	for (len = 0; len < line.len && line.at[len] != ' ' && line.at[len] != '\t';)
		len++;
	word = str_from(line.at, len);
	*ret = str_trim(str_from(line.at + len, line.len - len));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (str_is_nocase(word, words[i].text))
			return words[i].word;
	return NATS_WRONG;
}

bool nats_info_read(struct str json, struct nats_info *ret, struct error *err)
{
	struct nats_info info = { .max_payload = 1024 * 1024 };
	AUTO(json_doc) *doc = NULL;
	const struct json *root;
	int64_t most;
	struct str nonce;

	if (!json_parse_within(json, NATS_INFO_MEMORY, &doc, err))
		return error_add(err, "INFO of the NATS server");
	root = json_root(doc);
	if (json_kind(root) != JSON_OBJECT)
		return error_set(err, ERROR_INVALID, NULL, "INFO of the NATS server is no object");
	(void)json_get_bool(json_find(root, "headers"), &info.headers);
	(void)json_get_bool(json_find(root, "tls_required"), &info.tls_required);
	if (json_get_int(json_find(root, "max_payload"), &most) && most > 0)
		info.max_payload = (uint64_t)(most < PAYLOAD_MAX ? most : PAYLOAD_MAX);
	if (json_get_str(json_find(root, "nonce"), &nonce) &&
		!str_copy(nonce, info.nonce, sizeof(info.nonce)))
		return error_set(err, ERROR_INVALID, NULL, "INFO of the NATS server has a nonce of %zu bytes",
			nonce.len);
	*ret = info;
	return true;
}
