/* Does a match really mean what its form suggests? Internal to providers/local. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Each returns how many bytes of the match are good, counted from its beginning; 0 = none. */
size_t mr_valid_iban(const char *s, size_t n);  /* ISO 13616 length and mod-97 */
size_t mr_valid_card(const char *s, size_t n);  /* a known issuer's prefix, 13-19 digits, Luhn */
size_t mr_valid_url(const char *s, size_t n);   /* without the sentence's own punctuation */
size_t mr_valid_phone(const char *s, size_t n); /* 7-15 digits, brackets in pairs */
size_t mr_valid_date(const char *s, size_t n);  /* day and month exist */
size_t mr_valid_any(const char *s, size_t n);
