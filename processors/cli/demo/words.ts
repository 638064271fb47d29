/** The words of the demo market: what is sold, how shops name it in English, German and Chinese, and what it costs. */

/** One phrase in the market's three languages. */
export type Phrase = { readonly en: string; readonly de: string; readonly zh: string }
export type Language = keyof Phrase

/** A kind of product: every brand of its category makes some. */
export type Kind = {
  readonly name: Phrase
  /** Least and greatest price, whole euros. */
  readonly eur: readonly [number, number]
  readonly weight_g: number
  readonly features: readonly Phrase[]
  /** Fixed titles instead of brand and model, for books. */
  readonly titles?: readonly Phrase[]
}

export type Category = {
  readonly id: string
  readonly name: Phrase
  /** Category words as shops file them: from the root of Google's taxonomy down. */
  readonly path: readonly string[]
  readonly brands: readonly string[]
  readonly kinds: readonly Kind[]
}

const p = (en: string, de: string, zh: string): Phrase => ({ en, de, zh })
const kind = (
  name: Phrase,
  eur: readonly [number, number],
  weight_g: number,
  features: readonly Phrase[],
  titles?: readonly Phrase[],
): Kind => ({ name, eur, weight_g, features, ...(titles === undefined ? {} : { titles }) })

export const colors: readonly Phrase[] = [
  p('Black', 'Schwarz', '黑色'),
  p('White', 'Weiß', '白色'),
  p('Forest Green', 'Waldgrün', '森林绿'),
  p('Sand', 'Sand', '沙色'),
  p('Navy', 'Marineblau', '藏青色'),
  p('Coral', 'Koralle', '珊瑚色'),
  p('Silver', 'Silber', '银色'),
]

export const categories: readonly Category[] = [
  {
    id: 'audio',
    name: p('Audio', 'Audio', '音频'),
    path: ['Electronics', 'Audio'],
    brands: ['Sonavo', 'Klangwerk', 'Hearth & Hall', 'Orbitone'],
    kinds: [
      kind(p('Over-Ear Headphones', 'Over-Ear-Kopfhörer', '头戴式耳机'), [59, 349], 280, [
        p('active noise cancelling', 'aktive Geräuschunterdrückung', '主动降噪'),
        p('40 hours of battery', '40 Stunden Akkulaufzeit', '40小时续航'),
        p('memory foam ear pads', 'Ohrpolster aus Memory-Schaum', '记忆海绵耳罩'),
      ]),
      kind(p('Wireless Earbuds', 'kabellose In-Ear-Kopfhörer', '真无线蓝牙耳机'), [29, 199], 60, [
        p('sweat-proof for running', 'schweißfest fürs Laufen', '防汗跑步'),
        p('Bluetooth 5.4 multipoint', 'Bluetooth 5.4 Multipoint', '蓝牙5.4双设备连接'),
        p('wireless charging case', 'kabellos ladbares Etui', '无线充电仓'),
      ]),
      kind(p('Bluetooth Speaker', 'Bluetooth-Lautsprecher', '蓝牙音箱'), [25, 180], 620, [
        p('waterproof IP67', 'wasserdicht IP67', 'IP67防水'),
        p('deep bass for the garden', 'satter Bass für den Garten', '户外重低音'),
        p('stereo pairing', 'Stereo-Kopplung', '双音箱立体声'),
      ]),
      kind(p('Turntable', 'Plattenspieler', '黑胶唱片机'), [119, 480], 4800, [
        p('belt drive', 'Riemenantrieb', '皮带驱动'),
        p('built-in phono preamp', 'eingebauter Phono-Vorverstärker', '内置唱头放大器'),
        p('walnut plinth', 'Zarge aus Walnuss', '胡桃木底座'),
      ]),
      kind(p('Soundbar', 'Soundbar', '回音壁音响'), [99, 520], 2900, [
        p('wireless subwoofer', 'kabelloser Subwoofer', '无线低音炮'),
        p('Dolby Atmos', 'Dolby Atmos', '杜比全景声'),
        p('HDMI eARC', 'HDMI eARC', 'HDMI eARC接口'),
      ]),
      kind(p('USB Studio Microphone', 'USB-Studiomikrofon', 'USB电容麦克风'), [49, 210], 540, [
        p('for podcasts and streaming', 'für Podcasts und Streaming', '播客直播'),
        p('cardioid pattern', 'Nierencharakteristik', '心形指向'),
        p('zero-latency monitoring', 'latenzfreies Abhören', '零延迟监听'),
      ]),
    ],
  },
  {
    id: 'kitchen',
    name: p('Kitchen', 'Küche', '厨房'),
    path: ['Home & Garden', 'Kitchen & Dining'],
    brands: ['Brauhaus Nord', 'Copperline', 'Maison Tilde', 'Okimori'],
    kinds: [
      kind(p('Espresso Machine', 'Espressomaschine', '意式半自动咖啡机'), [149, 790], 7200, [
        p('15 bar pump', '15-bar-Pumpe', '15巴泵压'),
        p('steam wand for milk foam', 'Dampfdüse für Milchschaum', '蒸汽打奶泡'),
        p('PID temperature control', 'PID-Temperaturregelung', 'PID温控'),
      ]),
      kind(p('Coffee Grinder', 'Kaffeemühle', '磨豆机'), [39, 260], 1900, [
        p('40 mm steel burrs', '40-mm-Stahlmahlwerk', '40毫米钢制磨盘'),
        p('31 grind settings', '31 Mahlstufen', '31档研磨'),
        p('quiet motor', 'leiser Motor', '静音电机'),
      ]),
      kind(p("Chef's Knife", 'Kochmesser', '主厨刀'), [29, 190], 240, [
        p('20 cm Damascus blade', '20 cm Damastklinge', '20厘米大马士革钢'),
        p('walnut handle', 'Griff aus Walnussholz', '胡桃木手柄'),
        p('hand sharpened', 'von Hand geschärft', '手工开刃'),
      ]),
      kind(p('Cast Iron Dutch Oven', 'Schmortopf aus Gusseisen', '铸铁珐琅锅'), [49, 290], 5200, [
        p('5 litres', '5 Liter', '5升'),
        p('enamelled inside', 'innen emailliert', '内壁珐琅'),
        p('for every hob and the oven', 'für alle Herdarten und den Backofen', '明火电磁炉烤箱通用'),
      ]),
      kind(p('Stand Mixer', 'Küchenmaschine', '厨师机和面机'), [129, 560], 8300, [
        p('planetary mixing', 'planetarisches Rührwerk', '行星搅拌'),
        p('dough hook and whisk', 'Knethaken und Schneebesen', '和面钩打蛋器'),
        p('6.5 litre bowl', '6,5-Liter-Schüssel', '6.5升搅拌碗'),
      ]),
      kind(p('Gooseneck Kettle', 'Schwanenhals-Wasserkocher', '手冲咖啡壶'), [35, 150], 1100, [
        p('for pour-over coffee', 'für Filterkaffee von Hand', '手冲咖啡'),
        p('temperature to the degree', 'gradgenaue Temperatur', '精准控温'),
        p('0.9 litre', '0,9 Liter', '0.9升'),
      ]),
    ],
  },
  {
    id: 'sports',
    name: p('Sports', 'Sport', '运动'),
    path: ['Sporting Goods'],
    brands: ['Fjordlauf', 'Trailhaus', 'Kestrel Run', 'Pacelight'],
    kinds: [
      kind(p('Trail Running Shoes', 'Trailrunning-Schuhe', '越野跑鞋'), [79, 190], 640, [
        p('grippy lugged sole', 'griffige Stollensohle', '抓地防滑大底'),
        p('water-repellent upper', 'wasserabweisendes Obermaterial', '防泼水鞋面'),
        p('6 mm drop', '6 mm Sprengung', '6毫米落差'),
      ]),
      kind(p('Yoga Mat', 'Yogamatte', '瑜伽垫'), [19, 95], 1500, [
        p('natural rubber', 'Naturkautschuk', '天然橡胶'),
        p('non-slip 5 mm', 'rutschfest, 5 mm', '防滑5毫米'),
        p('with carrying strap', 'mit Tragegurt', '附背带'),
      ]),
      kind(p('Adjustable Dumbbell', 'verstellbare Hantel', '可调节哑铃'), [89, 320], 24000, [
        p('2 to 24 kg', '2 bis 24 kg', '2至24公斤'),
        p('change weight in one turn', 'Gewichtswechsel mit einem Dreh', '一转换重'),
        p('with storage tray', 'mit Ablage', '附收纳底座'),
      ]),
      kind(p('Running Watch', 'Laufuhr', '跑步手表'), [99, 420], 55, [
        p('dual-band GPS', 'Zweiband-GPS', '双频GPS'),
        p('heart rate at the wrist', 'Herzfrequenz am Handgelenk', '手腕心率'),
        p('training plans', 'Trainingspläne', '训练计划'),
      ]),
      kind(p('Cycling Helmet', 'Fahrradhelm', '骑行头盔'), [39, 180], 310, [
        p('MIPS protection', 'MIPS-Schutz', 'MIPS防护'),
        p('18 vents', '18 Belüftungsöffnungen', '18个通风孔'),
        p('magnetic visor', 'magnetisches Visier', '磁吸风镜'),
      ]),
      kind(p('Bouldering Chalk Bag', 'Chalkbag zum Bouldern', '攀岩镁粉袋'), [15, 45], 130, [
        p('fleece lined', 'mit Fleece gefüttert', '抓绒内里'),
        p('brush loop', 'Schlaufe für die Bürste', '刷子扣'),
        p('zipped pocket', 'Tasche mit Reißverschluss', '拉链口袋'),
      ]),
    ],
  },
  {
    id: 'outdoor',
    name: p('Camping & Outdoor', 'Camping & Outdoor', '户外露营'),
    path: ['Sporting Goods', 'Outdoor Recreation', 'Camping & Hiking'],
    brands: ['Nordrast', 'Basecamp Lyra', 'Steinbock', 'Wildmark'],
    kinds: [
      kind(p('Two-Person Tent', 'Zwei-Personen-Zelt', '双人帐篷'), [89, 480], 2300, [
        p('freestanding', 'selbststehend', '自立式'),
        p('3,000 mm water column', '3.000 mm Wassersäule', '3000毫米防水'),
        p('pitches in five minutes', 'in fünf Minuten aufgebaut', '五分钟搭建'),
      ]),
      kind(p('Down Sleeping Bag', 'Daunenschlafsack', '羽绒睡袋'), [79, 390], 980, [
        p('comfort -3 °C', 'Komfort -3 °C', '舒适温标-3度'),
        p('650 fill down', '650er Daune', '650蓬松度鹅绒'),
        p('mummy shape', 'Mumienform', '木乃伊式'),
      ]),
      kind(p('Camping Stove', 'Campingkocher', '户外炉具'), [25, 160], 190, [
        p('boils in three minutes', 'kocht in drei Minuten', '三分钟烧开'),
        p('piezo ignition', 'Piezozündung', '电子点火'),
        p('folds flat', 'flach faltbar', '可折叠'),
      ]),
      kind(p('Hiking Backpack', 'Wanderrucksack', '登山徒步背包'), [59, 260], 1500, [
        p('45 litres', '45 Liter', '45升'),
        p('ventilated back', 'belüfteter Rücken', '透气背负'),
        p('rain cover', 'Regenhülle', '防雨罩'),
      ]),
      kind(p('Headlamp', 'Stirnlampe', '头灯'), [19, 110], 90, [
        p('600 lumens', '600 Lumen', '600流明'),
        p('red light mode', 'Rotlichtmodus', '红光模式'),
        p('USB-C rechargeable', 'über USB-C aufladbar', 'USB-C充电'),
      ]),
      kind(p('Insulated Bottle', 'Thermosflasche', '保温水壶'), [15, 55], 370, [
        p('keeps hot for 18 hours', 'hält 18 Stunden heiß', '保温18小时'),
        p('0.75 litre', '0,75 Liter', '0.75升'),
        p('leak-proof lid', 'auslaufsicherer Deckel', '防漏杯盖'),
      ]),
    ],
  },
  {
    id: 'books',
    name: p('Books', 'Bücher', '图书'),
    path: ['Media', 'Books'],
    brands: ['Lantern House', 'Verlag Altes Tor', 'Inkwell & Daughters'],
    kinds: [
      kind(
        p('Crime Novel', 'Kriminalroman', '推理小说'),
        [9, 24],
        420,
        [p('a detective by the sea', 'ein Kommissar am Meer', '海边的侦探'), p('paperback', 'Taschenbuch', '平装')],
        [
          p('The Silent Harbour', 'Der stille Hafen', '寂静的港湾'),
          p('Murder on the Night Ferry', 'Mord auf der Nachtfähre', '夜航渡轮谋杀案'),
          p('The Lighthouse Witness', 'Die Zeugin vom Leuchtturm', '灯塔证人'),
          p('A Cold Case in Lisbon', 'Ein kalter Fall in Lissabon', '里斯本悬案'),
        ],
      ),
      kind(
        p('Cookbook', 'Kochbuch', '食谱'),
        [15, 45],
        980,
        [p('120 recipes', '120 Rezepte', '120道食谱'), p('hardcover', 'gebunden', '精装')],
        [
          p('Bread at Home', 'Brot von zu Hause', '在家做面包'),
          p('One Pot, Seven Days', 'Ein Topf, sieben Tage', '一锅七日'),
          p('The Vegetable Table', 'Der Gemüsetisch', '蔬食餐桌'),
          p('Noodles of Three Seas', 'Nudeln dreier Meere', '三海之面'),
        ],
      ),
      kind(
        p('Science Fiction Novel', 'Science-Fiction-Roman', '科幻小说'),
        [9, 26],
        450,
        [p('first volume of the series', 'erster Band der Reihe', '系列第一部'), p('paperback', 'Taschenbuch', '平装')],
        [
          p('The Last Orbit', 'Der letzte Orbit', '最后的轨道'),
          p('Gardens of Europa', 'Die Gärten von Europa', '木卫二的花园'),
          p('A Clockmaker on Mars', 'Ein Uhrmacher auf dem Mars', '火星钟表匠'),
          p('The Quiet Machine', 'Die stille Maschine', '寂静机器'),
        ],
      ),
      kind(
        p("Children's Picture Book", 'Bilderbuch', '儿童绘本'),
        [8, 19],
        380,
        [p('from three years', 'ab drei Jahren', '三岁以上'), p('hardcover', 'gebunden', '精装')],
        [
          p('The Bear Who Lost His Hat', 'Der Bär ohne Hut', '丢了帽子的熊'),
          p('Good Night, Little Tram', 'Gute Nacht, kleine Straßenbahn', '晚安小电车'),
          p('Where Does the Rain Sleep?', 'Wo schläft der Regen?', '雨在哪里睡觉'),
          p('Ten Snails on Holiday', 'Zehn Schnecken im Urlaub', '十只蜗牛去度假'),
        ],
      ),
      kind(
        p('Programming Book', 'Programmierbuch', '编程书'),
        [24, 59],
        860,
        [p('with exercises', 'mit Übungen', '附习题'), p('second edition', 'zweite Auflage', '第二版')],
        [
          p('Streams in Practice', 'Streams in der Praxis', '流处理实战'),
          p('A Small Book of Databases', 'Das kleine Datenbankbuch', '数据库小书'),
          p('Types That Help', 'Typen, die helfen', '类型的力量'),
          p('Networks from the Ground', 'Netzwerke von Grund auf', '网络从零开始'),
        ],
      ),
    ],
  },
  {
    id: 'phones',
    name: p('Phones & Accessories', 'Handys & Zubehör', '手机配件'),
    path: ['Electronics', 'Communications', 'Telephony'],
    brands: ['Lumora', 'Hexafone', 'Zhenyu', 'Calla Mobile'],
    kinds: [
      kind(p('Smartphone', 'Smartphone', '智能手机'), [199, 990], 190, [
        p('6.4 inch OLED display', '6,4-Zoll-OLED-Display', '6.4英寸OLED屏'),
        p('256 GB', '256 GB', '256GB'),
        p('50 MP camera', '50-MP-Kamera', '5000万像素'),
      ]),
      kind(p('Phone Case', 'Handyhülle', '手机壳'), [9, 45], 40, [
        p('shock-proof corners', 'stoßfeste Ecken', '防摔四角'),
        p('magnetic ring', 'Magnetring', '磁吸环'),
        p('matte finish', 'matte Oberfläche', '磨砂手感'),
      ]),
      kind(p('Power Bank', 'Powerbank', '充电宝'), [19, 89], 390, [
        p('20,000 mAh', '20.000 mAh', '20000毫安'),
        p('65 W USB-C', '65 W USB-C', '65W快充'),
        p('charges a laptop', 'lädt auch Laptops', '可充笔记本'),
      ]),
      kind(p('Wireless Charger', 'kabelloses Ladegerät', '无线充电器'), [15, 79], 170, [
        p('three devices at once', 'drei Geräte zugleich', '三合一'),
        p('15 W Qi2', '15 W Qi2', '15W Qi2'),
        p('folding stand', 'klappbarer Ständer', '折叠支架'),
      ]),
      kind(p('Screen Protector', 'Displayschutzglas', '钢化膜'), [6, 25], 30, [
        p('9H tempered glass', '9H-Hartglas', '9H钢化玻璃'),
        p('two-pack with frame', 'Doppelpack mit Montagerahmen', '两片装附贴膜框'),
        p('privacy filter', 'mit Blickschutz', '防窥'),
      ]),
      kind(p('Bike Phone Mount', 'Fahrrad-Handyhalterung', '自行车手机支架'), [15, 65], 140, [
        p('vibration damper', 'mit Schwingungsdämpfer', '减震'),
        p('locks with a twist', 'verriegelt mit einem Dreh', '旋转锁定'),
        p('aluminium', 'Aluminium', '铝合金'),
      ]),
    ],
  },
  {
    id: 'toys',
    name: p('Toys & Games', 'Spielzeug', '玩具'),
    path: ['Toys & Games'],
    brands: ['Bauklotz', 'Tiny Comet', 'Papillon Jeux', 'Lotus Play'],
    kinds: [
      kind(p('Wooden Train Set', 'Holzeisenbahn', '木制轨道火车'), [29, 120], 1900, [
        p('62 pieces', '62 Teile', '62件'),
        p('beech wood', 'Buchenholz', '榉木'),
        p('from three years', 'ab drei Jahren', '三岁以上'),
      ]),
      kind(p('Building Blocks', 'Bausteine', '积木'), [19, 99], 1400, [
        p('500 pieces', '500 Teile', '500颗粒'),
        p('space station', 'Raumstation', '空间站'),
        p('fits other brands', 'kompatibel mit anderen Marken', '兼容其他品牌'),
      ]),
      kind(p('Board Game', 'Brettspiel', '桌游'), [19, 69], 1300, [
        p('two to four players', 'zwei bis vier Spieler', '2至4人'),
        p('45 minutes', '45 Minuten', '45分钟'),
        p('cooperative', 'kooperativ', '合作类'),
      ]),
      kind(p('Plush Animal', 'Kuscheltier', '毛绒玩具'), [12, 59], 310, [
        p('sleepy fox', 'müder Fuchs', '困困狐狸'),
        p('machine washable', 'waschbar', '可机洗'),
        p('40 cm', '40 cm', '40厘米'),
      ]),
      kind(p('Science Kit', 'Experimentierkasten', '科学实验套装'), [24, 79], 1100, [
        p('grow crystals', 'Kristalle züchten', '种水晶'),
        p('25 experiments', '25 Experimente', '25个实验'),
        p('from eight years', 'ab acht Jahren', '八岁以上'),
      ]),
      kind(p('1000-Piece Puzzle', 'Puzzle mit 1000 Teilen', '1000片拼图'), [12, 35], 820, [
        p('harbour at dusk', 'Hafen in der Dämmerung', '黄昏港口'),
        p('poster included', 'mit Poster', '附海报'),
        p('matt print', 'matter Druck', '哑光印刷'),
      ]),
    ],
  },
  {
    id: 'home',
    name: p('Home & Lighting', 'Wohnen & Licht', '家居灯饰'),
    path: ['Home & Garden', 'Lighting'],
    brands: ['Lichtung', 'Hygge Form', 'Studio Marl', 'Moyu Home'],
    kinds: [
      kind(p('Desk Lamp', 'Schreibtischlampe', '台灯'), [29, 160], 1500, [
        p('dimmable warm light', 'dimmbares Warmlicht', '可调暖光'),
        p('swivel arm', 'Schwenkarm', '可转灯臂'),
        p('wireless charging base', 'Fuß mit Ladefläche', '底座无线充电'),
      ]),
      kind(p('Linen Duvet Cover', 'Leinen-Bettbezug', '亚麻被套'), [59, 190], 1700, [
        p('stonewashed', 'stonewashed', '水洗'),
        p('155 x 220 cm', '155 x 220 cm', '155x220厘米'),
        p('European flax', 'europäischer Flachs', '欧洲亚麻'),
      ]),
      kind(p('Scented Candle', 'Duftkerze', '香薰蜡烛'), [12, 48], 460, [
        p('cedar and fig', 'Zeder und Feige', '雪松无花果'),
        p('50 hours', '50 Stunden', '燃烧50小时'),
        p('soy wax', 'Sojawachs', '大豆蜡'),
      ]),
      kind(p('Wall Clock', 'Wanduhr', '挂钟'), [25, 120], 900, [
        p('silent movement', 'geräuschloses Uhrwerk', '静音机芯'),
        p('oak frame', 'Rahmen aus Eiche', '橡木框'),
        p('30 cm', '30 cm', '30厘米'),
      ]),
      kind(p('Wool Throw', 'Wolldecke', '羊毛毯'), [39, 160], 1100, [
        p('merino', 'Merinowolle', '美利奴羊毛'),
        p('130 x 180 cm', '130 x 180 cm', '130x180厘米'),
        p('fringed', 'mit Fransen', '流苏'),
      ]),
      kind(p('Storage Basket', 'Aufbewahrungskorb', '收纳篮'), [14, 65], 780, [
        p('hand-woven seagrass', 'handgeflochtenes Seegras', '手工编织海草'),
        p('with handles', 'mit Griffen', '带提手'),
        p('set of two', 'Zweierset', '两件套'),
      ]),
    ],
  },
  {
    id: 'garden',
    name: p('Garden', 'Garten', '园艺'),
    path: ['Home & Garden', 'Lawn & Garden'],
    brands: ['Gartenfreund', 'Root & Rake', 'Verdeo', 'Hortika'],
    kinds: [
      kind(p('Pruning Shears', 'Gartenschere', '修枝剪'), [15, 75], 250, [
        p('forged bypass blades', 'geschmiedete Bypass-Klingen', '锻造弯刃'),
        p('for stems up to 25 mm', 'für Äste bis 25 mm', '可剪25毫米'),
        p('non-slip grip', 'rutschfester Griff', '防滑手柄'),
      ]),
      kind(p('Garden Hose', 'Gartenschlauch', '园林水管'), [29, 110], 3600, [
        p('25 metres', '25 Meter', '25米'),
        p('does not kink', 'knickfest', '防打结'),
        p('with spray gun', 'mit Brause', '附喷枪'),
      ]),
      kind(p('Raised Bed', 'Hochbeet', '种植箱'), [49, 260], 14000, [
        p('larch wood', 'Lärchenholz', '落叶松木'),
        p('120 x 80 cm', '120 x 80 cm', '120x80厘米'),
        p('with liner', 'mit Folie', '附内衬'),
      ]),
      kind(p('Robot Mower', 'Mähroboter', '割草机器人'), [390, 990], 9800, [
        p('up to 500 m²', 'bis 500 m²', '500平方米'),
        p('no boundary wire', 'ohne Begrenzungskabel', '无需埋线'),
        p('rain sensor', 'Regensensor', '雨水感应'),
      ]),
      kind(p('Vegetable Seed Set', 'Gemüsesamen-Set', '蔬菜种子套装'), [9, 35], 110, [
        p('12 heirloom varieties', '12 alte Sorten', '12个传家品种'),
        p('organic', 'bio', '有机'),
        p('for balcony and garden', 'für Balkon und Garten', '阳台庭院'),
      ]),
      kind(p('Watering Can', 'Gießkanne', '浇水壶'), [14, 60], 900, [
        p('9 litres', '9 Liter', '9升'),
        p('galvanised steel', 'verzinkter Stahl', '镀锌钢'),
        p('brass rose', 'Brause aus Messing', '铜制花洒'),
      ]),
    ],
  },
  {
    id: 'computers',
    name: p('Computers', 'Computer', '电脑'),
    path: ['Electronics', 'Computers'],
    brands: ['Tastenreich', 'Quillon', 'Beryl Systems', 'Huolong'],
    kinds: [
      kind(p('Mechanical Keyboard', 'mechanische Tastatur', '机械键盘'), [59, 230], 960, [
        p('hot-swap switches', 'wechselbare Schalter', '热插拔轴体'),
        p('75 % layout', '75-%-Layout', '75%配列'),
        p('PBT keycaps', 'PBT-Kappen', 'PBT键帽'),
      ]),
      kind(p('4K Monitor', '4K-Monitor', '4K显示器'), [219, 690], 5400, [
        p('27 inch IPS', '27 Zoll IPS', '27英寸IPS'),
        p('USB-C 90 W', 'USB-C 90 W', 'USB-C 90W供电'),
        p('height adjustable', 'höhenverstellbar', '可升降'),
      ]),
      kind(p('NVMe SSD', 'NVMe-SSD', 'NVMe固态硬盘'), [49, 290], 45, [
        p('2 TB', '2 TB', '2TB'),
        p('7,000 MB/s', '7.000 MB/s', '7000MB/s'),
        p('five years of warranty', 'fünf Jahre Garantie', '五年质保'),
      ]),
      kind(p('Vertical Mouse', 'vertikale Maus', '垂直鼠标'), [25, 110], 120, [
        p('ergonomic', 'ergonomisch', '人体工学'),
        p('silent clicks', 'leise Tasten', '静音按键'),
        p('for the left hand too', 'auch für Linkshänder', '左右手通用'),
      ]),
      kind(p('Laptop Stand', 'Laptopständer', '笔记本支架'), [19, 90], 850, [
        p('folding aluminium', 'faltbares Aluminium', '折叠铝合金'),
        p('six heights', 'sechs Höhen', '六档高度'),
        p('up to 17 inch', 'bis 17 Zoll', '最大17英寸'),
      ]),
      kind(p('USB-C Dock', 'USB-C-Dock', 'USB-C扩展坞'), [59, 260], 330, [
        p('two 4K displays', 'zwei 4K-Monitore', '双4K'),
        p('gigabit Ethernet', 'Gigabit-Ethernet', '千兆网口'),
        p('11 ports', '11 Anschlüsse', '11个接口'),
      ]),
    ],
  },
]

/** What tells two models of one brand apart. */
export const series = ['Aria', 'Nova', 'Pro', 'Lite', 'One', 'Max', 'Air', 'Classic', 'Neo', 'Duo'] as const
