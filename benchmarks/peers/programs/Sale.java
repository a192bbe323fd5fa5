import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.IntStream;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * Kafka Streams with exactly_once_v2: what a team would write that keeps stock in its state stores.
 *
 * <p>{@code keyed}: orders of one line that are keyed by SKU. {@code any}: orders of one line with any key, sent
 * once more by SKU. {@code baskets}: orders of several lines; each line goes to its SKU and its answer back to the
 * order. Decisions are remembered by order, so an order that comes again gets the same answer.
 */
public final class Sale {
  record Item(String sku, int quantity) {}

  record Order(String ref, String promotionId, List<Item> items) {}

  record Event(Order order) {}

  record Line(String ref, String promotionId, int number, int of, int quantity) {}

  record Answer(String promotionId, int number, int of, Result result) {}

  @JsonInclude(JsonInclude.Include.NON_NULL)
  record Result(String sku, int quantity, boolean consumed, String reason) {}

  record Outcome(String orderRef, String promotionId, String outcome, List<Result> consumeResults) {}

  /** The answers for an order's lines, and how often each has come: more than once where the order is repeated. */
  record Gathered(List<Result> results, List<Integer> came) {
    int complete() {
      return Collections.min(came);
    }
  }

  private static final ObjectMapper JSON =
      new ObjectMapper().configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, false);
  private static final AtomicBoolean STARTED = new AtomicBoolean();
  private static final int UNITS = Integer.parseInt(environment("UNITS"));

  private Sale() {}

  public static void main(String[] arguments) throws InterruptedException {
    StreamsBuilder builder = new StreamsBuilder();
    KStream<String, Event> events =
        builder.stream(environment("ORDERS"), Consumed.with(Serdes.String(), json(Event.class)));
    KStream<String, Outcome> outcomes =
        switch (arguments[0]) {
          case "keyed" -> decideOrders(builder, events);
          case "any" -> decideOrders(builder, bySku(events));
          case "baskets" -> decideBaskets(builder, events);
          default -> throw new IllegalArgumentException(arguments[0]);
        };
    outcomes.to(environment("OUTCOMES"), Produced.with(Serdes.String(), json(Outcome.class)));
    KafkaStreams streams = new KafkaStreams(builder.build(), settings());
    CountDownLatch ended = new CountDownLatch(1);
    streams.setUncaughtExceptionHandler(
        error -> {
          error.printStackTrace();
          ended.countDown();
          return org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse
              .SHUTDOWN_CLIENT;
        });
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
    ended.await();
    System.exit(1);
  }

  private static KStream<String, Event> bySku(KStream<String, Event> events) {
    return events
        .selectKey((key, event) -> event.order().items().get(0).sku())
        .repartition(Repartitioned.with(Serdes.String(), json(Event.class)).withName("by-sku"));
  }

  private static KStream<String, Outcome> decideOrders(StreamsBuilder builder, KStream<String, Event> events) {
    builder.addStateStore(store("left", Serdes.Integer()));
    builder.addStateStore(store("decided", json(Outcome.class)));
    return events.process(DecideOrder::new, "left", "decided");
  }

  private static KStream<String, Outcome> decideBaskets(StreamsBuilder builder, KStream<String, Event> events) {
    builder.addStateStore(store("left", Serdes.Integer()));
    builder.addStateStore(store("decided", json(Result.class)));
    builder.addStateStore(store("gathered", json(Gathered.class)));
    return events
        .flatMap((key, event) -> lines(event.order()))
        .repartition(Repartitioned.with(Serdes.String(), json(Line.class)).withName("lines"))
        .process(DecideLine::new, "left", "decided")
        .repartition(Repartitioned.with(Serdes.String(), json(Answer.class)).withName("answers"))
        .process(Gather::new, "gathered");
  }

  private static List<KeyValue<String, Line>> lines(Order order) {
    List<Item> items = order.items();
    return IntStream.range(0, items.size())
        .mapToObj(
            number -> {
              Item item = items.get(number);
              return KeyValue.pair(
                  item.sku(),
                  new Line(order.ref(), order.promotionId(), number, items.size(), item.quantity()));
            })
        .toList();
  }

  /** Takes the units if they are there: the one place where stock moves. */
  private static Result take(KeyValueStore<String, Integer> left, String sku, int quantity) {
    Integer known = left.get(sku);
    int units = known == null ? UNITS : known;
    if (quantity > units) {
      return new Result(sku, quantity, false, "EXHAUSTED");
    }
    left.put(sku, units - quantity);
    return new Result(sku, quantity, true, null);
  }

  private static Outcome outcome(String ref, String promotionId, List<Result> results) {
    long taken = results.stream().filter(Result::consumed).count();
    String word = taken == results.size() ? "ACCEPTED" : taken > 0 ? "PARTIAL" : "REJECTED";
    return new Outcome(ref, promotionId, word, results);
  }

  private static void sayStarted() {
    if (STARTED.compareAndSet(false, true)) {
      System.out.printf(Locale.ROOT, "started %.3f%n", System.currentTimeMillis() / 1000.0);
    }
  }

  /** An order of one line, at its SKU. */
  static final class DecideOrder extends ContextualProcessor<String, Event, String, Outcome> {
    private KeyValueStore<String, Integer> left;
    private KeyValueStore<String, Outcome> decided;

    @Override
    public void init(ProcessorContext<String, Outcome> context) {
      super.init(context);
      left = context.getStateStore("left");
      decided = context.getStateStore("decided");
    }

    @Override
    public void process(Record<String, Event> record) {
      sayStarted();
      Order order = record.value().order();
      Outcome answer = decided.get(order.ref());
      if (answer == null) {
        Item item = order.items().get(0);
        Result result = take(left, item.sku(), item.quantity());
        answer = outcome(order.ref(), order.promotionId(), List.of(result));
        decided.put(order.ref(), answer);
      }
      context().forward(record.withKey(order.ref()).withValue(answer));
    }
  }

  /** A line of an order, at its SKU. */
  static final class DecideLine extends ContextualProcessor<String, Line, String, Answer> {
    private KeyValueStore<String, Integer> left;
    private KeyValueStore<String, Result> decided;

    @Override
    public void init(ProcessorContext<String, Answer> context) {
      super.init(context);
      left = context.getStateStore("left");
      decided = context.getStateStore("decided");
    }

    @Override
    public void process(Record<String, Line> record) {
      sayStarted();
      Line line = record.value();
      String key = line.ref() + "/" + record.key();
      Result result = decided.get(key);
      if (result == null) {
        result = take(left, record.key(), line.quantity());
        decided.put(key, result);
      }
      Answer answer = new Answer(line.promotionId(), line.number(), line.of(), result);
      context().forward(record.withKey(line.ref()).withValue(answer));
    }
  }

  /** An order, where the answers for its lines come together. */
  static final class Gather extends ContextualProcessor<String, Answer, String, Outcome> {
    private KeyValueStore<String, Gathered> gathered;

    @Override
    public void init(ProcessorContext<String, Outcome> context) {
      super.init(context);
      gathered = context.getStateStore("gathered");
    }

    @Override
    public void process(Record<String, Answer> record) {
      Answer answer = record.value();
      Gathered order = gathered.get(record.key());
      if (order == null) {
        order =
            new Gathered(
                new ArrayList<>(Collections.nCopies(answer.of(), null)),
                new ArrayList<>(Collections.nCopies(answer.of(), 0)));
      }
      int before = order.complete();
      order.results().set(answer.number(), answer.result());
      order.came().set(answer.number(), order.came().get(answer.number()) + 1);
      gathered.put(record.key(), order);
      if (order.complete() > before) {
        context().forward(record.withValue(outcome(record.key(), answer.promotionId(), order.results())));
      }
    }
  }

  private static <V> StoreBuilder<KeyValueStore<String, V>> store(String name, Serde<V> values) {
    return Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(name), Serdes.String(), values)
        .withCachingEnabled();
  }

  private static Properties settings() {
    Properties settings = new Properties();
    settings.putAll(
        Map.of(
            StreamsConfig.APPLICATION_ID_CONFIG, environment("NAME"),
            StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, environment("BOOTSTRAP"),
            StreamsConfig.STATE_DIR_CONFIG, environment("DIRECTORY"),
            StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2,
            StreamsConfig.NUM_STREAM_THREADS_CONFIG, environment("THREADS"),
            StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64 << 20,
            "auto.offset.reset", "earliest"));
    return settings;
  }

  private static String environment(String name) {
    return System.getenv("PEER_" + name);
  }

  private static <T> Serde<T> json(Class<T> type) {
    ObjectReader reader = JSON.readerFor(type);
    ObjectWriter writer = JSON.writerFor(type);
    return Serdes.serdeFrom(
        (topic, value) -> {
          try {
            return value == null ? null : writer.writeValueAsBytes(value);
          } catch (IOException error) {
            throw new UncheckedIOException(error);
          }
        },
        (topic, bytes) -> {
          try {
            return bytes == null ? null : reader.readValue(bytes);
          } catch (IOException error) {
            throw new UncheckedIOException(error);
          }
        });
  }
}
