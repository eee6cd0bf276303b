"""The functions of Spark SQL that an expression of a mapping may call: those of one row's values alone."""

from __future__ import annotations

_SCALARS = """
    abs acos acosh add_months aggregate array array_append array_compact array_contains array_distinct array_except
    array_insert array_intersect array_join array_max array_min array_position array_prepend array_remove
    array_repeat array_size array_sort array_union arrays_overlap arrays_zip ascii asin asinh atan atan2 atanh
    base64 bigint bin binary bit_count bit_get bit_length boolean bround btrim cardinality cast cbrt ceil ceiling
    char char_length character_length chr coalesce collate collation concat concat_ws contains conv convert_timezone
    cos cosh cot crc32 csc date date_add date_diff date_format date_from_unix_date date_part date_sub date_trunc
    dateadd datediff datepart day dayname dayofmonth dayofweek dayofyear decimal decode degrees double e element_at
    elt encode endswith equal_null exists exp expm1 extract factorial filter find_in_set flatten float floor forall
    format_number format_string from_csv from_json from_unixtime from_utc_timestamp from_xml get get_json_object
    getbit greatest hash hex hour hypot if ifnull initcap instr int is_valid_utf8 is_variant_null isnan isnotnull
    isnull json_array_length json_object_keys last_day lcase least left len length levenshtein ln locate log log10
    log1p log2 lower lpad ltrim luhn_check make_date make_dt_interval make_interval make_time make_timestamp
    make_timestamp_ltz make_timestamp_ntz make_valid_utf8 make_ym_interval map map_concat map_contains_key
    map_entries map_filter map_from_arrays map_from_entries map_keys map_values map_zip_with mask md5 minute mod
    month monthname months_between named_struct nanvl negative next_day nullif nullifzero nvl nvl2 octet_length
    overlay parse_json parse_url pi pmod position positive pow power printf quarter quote radians reduce
    regexp_count regexp_extract regexp_extract_all regexp_instr regexp_like regexp_replace regexp_substr repeat
    replace reverse right rint round rpad rtrim schema_of_csv schema_of_json schema_of_variant schema_of_xml sec
    second sentences sequence sha sha1 sha2 shiftleft shiftright shiftrightunsigned sign signum sin sinh size slice
    smallint sort_array soundex space split split_part sqrt startswith str_to_map string struct substr substring
    substring_index tan tanh time time_diff time_trunc timediff timestamp timestamp_micros timestamp_millis
    timestamp_seconds timestampadd timestampdiff tinyint to_binary to_char to_csv to_date to_json to_number to_time
    to_timestamp to_timestamp_ltz to_timestamp_ntz to_unix_timestamp to_utc_timestamp to_varchar to_variant_object
    to_xml transform transform_keys transform_values translate trim trunc try_add try_cast try_divide try_element_at
    try_make_interval try_make_timestamp try_make_timestamp_ltz try_make_timestamp_ntz try_mod try_multiply
    try_parse_json try_parse_url try_subtract try_to_binary try_to_date try_to_number try_to_time try_to_timestamp
    try_url_decode try_validate_utf8 try_variant_get typeof ucase unbase64 unhex unix_date unix_micros unix_millis
    unix_seconds unix_timestamp upper url_decode url_encode validate_utf8 variant_get weekday weekofyear
    width_bucket xxhash64 year zeroifnull zip_with
"""
SCALARS = frozenset(_SCALARS.split())
"""Functions of the values they are given, the same at every run."""
_AGGREGATES = """
    any any_value approx_count_distinct approx_percentile array_agg avg bit_and bit_or bit_xor bool_and bool_or
    collect_list collect_set corr count count_if covar_pop covar_samp every first first_value histogram_numeric
    kurtosis last last_value listagg max max_by mean median min min_by mode percentile percentile_approx
    percentile_cont percentile_disc regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx
    regr_sxy regr_syy skewness some std stddev stddev_pop stddev_samp string_agg sum try_avg try_sum var_pop
    var_samp variance
"""
AGGREGATES = frozenset(_AGGREGATES.split())
"""Functions of many rows: for inputs of `from` and `group_by`."""
_UNSTABLE = """
    curdate current_catalog current_database current_date current_schema current_time current_timestamp
    current_timezone current_user input_file_block_length input_file_block_start input_file_name localtimestamp
    monotonically_increasing_id now rand randn random randstr session_user shuffle spark_partition_id uniform user
    uuid version
"""
UNSTABLE = frozenset(_UNSTABLE.split())
"""Functions that give something else at every run, or for another layout of the files."""
_BEFORE_BRACKETS = """
    all and any as between case char dec decimal distinct else end ilike in interval is like not numeric or regexp
    rlike some then varchar when
"""
BEFORE_BRACKETS = frozenset(_BEFORE_BRACKETS.split())
"""Words of SQL that a bracket may follow."""
OVER_FROM = frozenset({"extract", "trim", "substring", "substr", "overlay"})
"""Functions that are written with FROM inside."""
