// A file that keeps a C++ compiler busy: many types, each with containers and
// algorithms of its own. AMOUNT says how many.
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#ifndef AMOUNT
#define AMOUNT 10
#endif

template <int N>
struct Item {
    int key = N;
    std::string name = std::to_string(N);
    bool operator<(const Item& other) const { return std::tie(key, name) < std::tie(other.key, other.name); }
};

template <int N>
struct Shop {
    using Any = std::variant<Item<N>, std::unique_ptr<Item<N>>, std::vector<Item<N>>>;
    std::map<Item<N>, std::vector<Any>> shelves;
    std::unordered_map<std::string, std::function<int(const Item<N>&)>> rules;

    int run(int amount) {
        for (int i = 0; i < amount; ++i) {
            Item<N> item{i, std::string(static_cast<std::size_t>(i % 13), 'x')};
            auto& shelf = shelves[item];
            shelf.emplace_back(item);
            shelf.emplace_back(std::make_unique<Item<N>>(item));
            shelf.emplace_back(std::vector<Item<N>>(3, item));
            rules.emplace(item.name, [i](const Item<N>& it) { return it.key + i + N; });
        }
        int sum = 0;
        for (auto& [item, shelf] : shelves) {
            std::stable_sort(shelf.begin(), shelf.end(), [](const Any& left, const Any& right) {
                return left.index() > right.index();
            });
            for (const auto& any : shelf)
                sum += std::visit([](const auto& value) { return weight(value); }, any);
            for (auto& [name, rule] : rules) sum += rule(item);
        }
        return sum;
    }

    static int weight(const Item<N>& item) { return item.key; }
    static int weight(const std::unique_ptr<Item<N>>& item) { return item->key; }
    static int weight(const std::vector<Item<N>>& items) { return static_cast<int>(items.size()); }
};

template <int... Ns>
int all(std::integer_sequence<int, Ns...>, int amount) {
    return (Shop<Ns>{}.run(amount) + ... + 0);
}

int entry(int amount) {
    return all(std::make_integer_sequence<int, AMOUNT>{}, amount);
}
