/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graphql_lexer - the tokens of a query, one after another.
 *
 * Blanks, commas, comments and a byte order mark stand for nothing. The text is UTF-8; of control characters it may have tab,
 * line feed and carriage return. Two escapes \uD83D\uDE00 are one character; one half alone is refused.
 *
 * Source  GraphQL, October 2021, 2.1.
 * Thread  owner's.
 */
#pragma once

#include "graphql/graphql_arena.h"
#include "graphql/graphql_errors.h"

enum graphql_token_kind {
	GRAPHQL_T_END, GRAPHQL_T_MARK, GRAPHQL_T_SPREAD, GRAPHQL_T_NAME, GRAPHQL_T_INT, GRAPHQL_T_FLOAT, GRAPHQL_T_STRING,
};

struct graphql_token {
	enum graphql_token_kind kind;
	char mark;       /* MARK: one of !$&()/:=@[]{|} */
	uint32_t at;     /* offset in the text */
	struct str text; /* as written; of a STRING its bytes, in the arena */
};

struct graphql_lexer {
	struct str text;
	size_t at;
	unsigned tokens;
	struct graphql_arena *arena;
	struct graphql_errors *errors;
};

/* False: the text has an error, which is in errors. False already at the start when it is too long or not UTF-8. */
bool graphql_lexer_init(struct graphql_lexer *lexer, struct str text, struct graphql_arena *arena, struct graphql_errors *errors) MUST_CHECK;
bool graphql_lexer_next(struct graphql_lexer *lexer, struct graphql_token *ret) MUST_CHECK;
