-- AMOUNT is replaced by a number of rows. The rows are computed, so that no
-- input file is needed and every run has the same.
PRAGMA journal_mode = MEMORY;
PRAGMA synchronous = OFF;
CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, city TEXT);
CREATE TABLE sale (id INTEGER PRIMARY KEY, customer INTEGER, amount INTEGER, note TEXT);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < AMOUNT / 10)
INSERT INTO customer SELECT i, 'customer ' || (i * 7919 % 10007), 'city ' || (i * 31 % 97) FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < AMOUNT)
INSERT INTO sale SELECT i, 1 + i * 7907 % (AMOUNT / 10), i * 104729 % 1000,
  substr('the quick brown fox jumps over the lazy dog', 1 + i % 20, 3 + i % 17) FROM n;
COMMIT;
CREATE INDEX sale_customer ON sale (customer, amount);
CREATE INDEX sale_note ON sale (note);
ANALYZE;
SELECT city, count(*), sum(amount), max(note) FROM sale JOIN customer ON customer = customer.id
  GROUP BY city ORDER BY city;
SELECT note, count(DISTINCT customer) FROM sale GROUP BY note ORDER BY 2 DESC, 1 LIMIT 20;
UPDATE sale SET note = note || ' again' WHERE amount % 3 = 0;
DELETE FROM sale WHERE amount % 5 = 1;
SELECT group_concat(name, ',') FROM (SELECT DISTINCT name FROM customer ORDER BY name LIMIT 500);
SELECT count(*), sum(length(note)) FROM sale;
VACUUM;
SELECT count(*), total(amount) FROM sale WHERE note LIKE '%fox%';
PRAGMA integrity_check;
