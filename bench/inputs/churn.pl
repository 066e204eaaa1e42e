# Hashes, strings and substitutions. The argument is an amount.
use strict;
use warnings;
use integer;

my $seed = 1;
sub number { $seed = ($seed * 1103515245 + 12345) & 0x7fffffff; return $seed >> 8; }

my $total = 0;
for my $turn (1 .. $ARGV[0]) {
    my (%count, %list);
    for (1 .. 220_000) {
        my $key = "key" . number() % 30_011;
        $count{$key}++;
        push @{ $list{$key} }, "value " . number() % 1000;
    }
    my @order = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
    my $text = join ",", map { "$_=$count{$_}" } @order;
    (my $changed = $text) =~ s/key(\d+)=(\d+)/$2:$1/g;
    my @parts = split /,/, $changed;
    my %inverse;
    push @{ $inverse{ (split /:/)[0] } }, $_ for @parts;
    $total += length($text) + length($changed) + @parts + keys %inverse;
    $total += length(join "", @{ $list{$_} }) for @order[0 .. 999];
    my $long = "";
    $long .= chr(65 + number() % 26) x (number() % 40) for 1 .. 30_000;
    $total += length $long;
}
print "checksum $total\n";
